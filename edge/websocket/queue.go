package websocket

// queue holds the frames that wait for the socket, oldest first. The frames
// are shared with other connections and never written to.
type queue struct {
	frames [][]byte
	head   int // of frames: what is before it has been sent
	sent   int // bytes of frames[head] that the socket has taken
	bytes  int // of the frames waiting, sent ones of the first included
	// exempt is one more than the place in frames of a reply that is not
	// counted; 0 = none waits.
	exempt int
}

func (q *queue) empty() bool { return q.head == len(q.frames) }
func (q *queue) len() int    { return len(q.frames) - q.head }

// add appends a frame unless that exceeds a bound. An empty queue takes any
// frame: the bounds are for what a client leaves lying, not for what it asked.
func (q *queue) add(frame []byte, maxFrames, maxBytes int) bool {
	if !q.empty() && (q.len() >= maxFrames || q.bytes+len(frame) > maxBytes) {
		return false
	}
	q.force(frame)
	return true
}

// addExempt appends a reply whose size the client's rooms decide. It is not
// counted, but only one may wait at a time.
func (q *queue) addExempt(frame []byte) bool {
	if q.exempt > 0 {
		return false
	}
	q.force(frame)
	q.bytes -= len(frame)
	q.exempt = len(q.frames)
	return true
}

// force appends a frame beyond all bounds: the last words of a connection.
func (q *queue) force(frame []byte) {
	if q.head > 0 && len(q.frames) == cap(q.frames) {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames = q.frames[:n]
		q.exempt = max(0, q.exempt-q.head)
		q.head = 0
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
}

// gather returns what to write next: as many frames as fit into buf, or the
// first one itself if it alone does not.
func (q *queue) gather(buf []byte) []byte {
	first := q.frames[q.head][q.sent:]
	if q.len() == 1 || len(first) >= cap(buf) {
		return first
	}
	buf = append(buf[:0], first...)
	for _, f := range q.frames[q.head+1:] {
		if len(buf)+len(f) > cap(buf) {
			break
		}
		buf = append(buf, f...)
	}
	return buf
}

// idleCap is how many places for frames an empty queue keeps.
const idleCap = 4

// consume takes n sent bytes out.
func (q *queue) consume(n int) {
	n += q.sent
	for !q.empty() && n >= len(q.frames[q.head]) {
		size := len(q.frames[q.head])
		n -= size
		q.frames[q.head] = nil
		q.head++
		if q.exempt == q.head {
			q.exempt = 0
		} else {
			q.bytes -= size
		}
	}
	if !q.empty() {
		q.sent = n
		return
	}
	q.head, q.sent, q.exempt = 0, 0, 0
	if q.frames = q.frames[:0]; cap(q.frames) > idleCap {
		q.frames = nil
	}
}

// drop forgets what waits, but for the rest of a frame that the socket has
// begun to take: the client would read what follows as a part of it.
func (q *queue) drop() {
	if q.sent == 0 {
		*q = queue{}
		return
	}
	begun, sent := q.frames[q.head], q.sent
	*q = queue{sent: sent}
	q.force(begun)
}
