package publisher

import (
	"fmt"
	"testing"
)

func TestMemoryOfThePastIsBounded(t *testing.T) {
	l := newLRU(100_000)
	for i := range 10_000 {
		l.put(&remembered{subject: fmt.Sprintf("booking.%d.status", i), data: make([]byte, i%500), stored: true})
		if l.size > l.limit {
			t.Fatalf("after %d subjects %d bytes are remembered, the limit is %d", i, l.size, l.limit)
		}
		l.get("booking.0.status") // asked for again and again
	}
	if _, ok := l.get("booking.9999.status"); !ok {
		t.Error("the newest is forgotten")
	}
	if _, ok := l.get("booking.0.status"); !ok {
		t.Error("what is asked for all the time is forgotten")
	}
	if _, ok := l.get("booking.1.status"); ok {
		t.Error("the oldest is remembered")
	}
	size := 0
	for _, e := range l.bySubject {
		size += e.Value.(*remembered).bytes()
	}
	if size != l.size || l.order.Len() != len(l.bySubject) {
		t.Errorf("size %d, is %d; %d in order, %d by subject", l.size, size, l.order.Len(), len(l.bySubject))
	}
	l.put(&remembered{subject: "large", data: make([]byte, 1<<20)})
	if _, ok := l.get("large"); !ok || l.order.Len() != 1 {
		t.Errorf("what is larger than all is remembered alone: %t, %d", ok, l.order.Len())
	}
}
