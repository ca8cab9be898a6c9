package publisher

import clist "container/list" // list is taken

// lru remembers payloads by subject, the least recently used ones forgotten
// first when they take more than limit bytes.
type lru struct {
	limit, size int
	order       *clist.List // of *remembered, the newest first
	bySubject   map[string]*clist.Element
}

// remembered is what the stream holds of a subject; stored is false if that is
// nothing.
type remembered struct {
	subject string
	data    []byte
	stored  bool
}

// perEntry is about what an entry takes besides its subject and payload.
const perEntry = 200

func newLRU(limit int) *lru {
	return &lru{limit: limit, order: clist.New(), bySubject: map[string]*clist.Element{}}
}

func (r *remembered) bytes() int { return perEntry + 2*len(r.subject) + len(r.data) }

// get returns what is remembered of a subject.
func (l *lru) get(subject string) (r *remembered, ok bool) {
	e, ok := l.bySubject[subject]
	if !ok {
		return nil, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*remembered), true
}

// put remembers, and forgets what there is no room for.
func (l *lru) put(r *remembered) {
	if e, ok := l.bySubject[r.subject]; ok {
		l.remove(e)
	}
	l.bySubject[r.subject] = l.order.PushFront(r)
	l.size += r.bytes()
	for l.size > l.limit && l.order.Len() > 1 {
		l.remove(l.order.Back())
	}
}

func (l *lru) remove(e *clist.Element) {
	r := l.order.Remove(e).(*remembered)
	l.size -= r.bytes()
	delete(l.bySubject, r.subject)
}
