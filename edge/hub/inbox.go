package hub

import "sync"

// inbox hands tasks to a shard's goroutine. It is not bounded by itself: each
// source of tasks is (transports limit a connection's commands, the fetcher
// and the ticker have a fixed number under way), so that posting never blocks
// a shard, a reader or the feed.
type inbox struct {
	wake chan struct{} // one slot: a token means there may be something to do

	mu    sync.Mutex
	tasks []func()
	spare []func()
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// post queues a task and wakes the shard.
func (in *inbox) post(task func()) {
	in.mu.Lock()
	in.tasks = append(in.tasks, task)
	in.mu.Unlock()
	in.nudge()
}

// nudge wakes the shard without a task.
func (in *inbox) nudge() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take returns what has been posted; the slice is valid until the next take.
func (in *inbox) take() []func() {
	in.mu.Lock()
	defer in.mu.Unlock()
	tasks := in.tasks
	in.tasks, in.spare = in.spare[:0], tasks
	return tasks
}
