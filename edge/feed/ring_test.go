package feed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

func event(seq uint64, room subjects.Room) *hub.Message {
	return &hub.Message{
		Seq: seq, Stamp: int64(seq * 10),
		Name: subjects.Name{Class: subjects.Event, Room: room, Type: "status"},
		Data: []byte(`{"status":"confirmed"}`),
	}
}

// TestRingAgainstModel compares the ring with a plain slice under random
// appends, with and without skipped sequences.
func TestRingAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	size := event(1, "").Size()
	for _, skips := range []bool{false, true} {
		r := newRing(300*size + 1)
		var model []*hub.Message
		seq := uint64(0)
		for range 3000 {
			seq++
			if skips && rnd.IntN(10) == 0 {
				seq += rnd.Uint64N(5)
			}
			m := event(seq, subjects.Room(fmt.Sprintf("booking.%d", rnd.IntN(40))))
			r.add(m)
			if model = append(model, m); len(model) > 300 {
				model = model[1:]
			}
			if rnd.IntN(5) > 0 {
				continue
			}
			after := model[0].Seq - 1 + rnd.Uint64N(seq-model[0].Seq+3)
			upTo := after + rnd.Uint64N(100)
			room := subjects.Room(fmt.Sprintf("booking.%d", rnd.IntN(40)))
			var all, ofRoom []uint64
			for _, m := range model {
				if m.Seq <= after || m.Seq > upTo {
					continue
				}
				all = append(all, m.Seq)
				if m.Name.Room == room {
					ofRoom = append(ofRoom, m.Seq)
				}
			}
			slices.Reverse(ofRoom)
			if got := sequences(r.read(after, upTo, make([]*hub.Message, 0, 1000))); !slices.Equal(got, all) {
				t.Fatalf("read(%d, %d) = %v, want %v", after, upTo, got, all)
			}
			if got := sequences(r.room(room, after, upTo, nil)); !slices.Equal(got, ofRoom) {
				t.Fatalf("room(%s, %d, %d) = %v, want %v", room, after, upTo, got, ofRoom)
			}
			if r.size > r.limit || r.oldest() != model[0] {
				t.Fatalf("%d bytes from %d on, want at most %d from %d on", r.size, r.oldest().Seq, r.limit, model[0].Seq)
			}
			if len(r.threads) > 40 {
				t.Fatalf("%d rooms are remembered, 40 exist", len(r.threads))
			}
		}
	}
}

func sequences(msgs []*hub.Message) []uint64 {
	var s []uint64
	for _, m := range msgs {
		s = append(s, m.Seq)
	}
	return s
}

func TestRingAgrees(t *testing.T) {
	r := newRing(1 << 20)
	if !r.agrees(5, 1) {
		t.Error("an empty ring disagrees")
	}
	for _, seq := range []uint64{10, 11, 20} { // their times are 100, 110, 200
		r.add(event(seq, "booking.42"))
	}
	for _, tt := range []struct {
		name  string
		seq   uint64
		stamp int64
		want  bool
	}{
		{"its time", 11, 110, true},
		{"another time", 11, 111, false},
		{"between the neighbours", 15, 150, true},
		{"at a neighbour's time", 15, 200, true},
		{"before the neighbours", 15, 109, false},
		{"behind the neighbours", 15, 201, false},
		{"older than all", 9, 5000, true},
		{"newer than all", 21, 1, true},
	} {
		if got := r.agrees(tt.seq, tt.stamp); got != tt.want {
			t.Errorf("%s: agrees(%d, %d) = %v, want %v", tt.name, tt.seq, tt.stamp, got, tt.want)
		}
	}
}

// TestRingHoldsTheNewest: a message larger than the ring is still delivered.
func TestRingHoldsTheNewest(t *testing.T) {
	r := newRing(100)
	r.add(event(1, "booking.42"))
	r.add(event(2, "booking.42"))
	if r.len() != 1 || r.oldest().Seq != 2 {
		t.Errorf("the ring holds %d messages from %d on, want the newest", r.len(), r.oldest().Seq)
	}
}

func BenchmarkAppend(b *testing.B) {
	rooms := make([]subjects.Room, 20_000)
	for i := range rooms {
		rooms[i] = subjects.Room(fmt.Sprintf("booking.%024x", i))
	}
	w := newWindow(64 << 20)
	w.begin(origin{epoch: subjects.Epoch{Epoch: "e"}, epochSeq: 1, start: 1})
	now := time.Now()
	batch := make([]arrival, 1)
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		batch[0] = arrival{Message: event(seq, rooms[seq*7919%20_000])}
		if _, err := w.add(batch, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoom reads ten missed messages of a room out of 100 000.
func BenchmarkRoom(b *testing.B) {
	w := newWindow(64 << 20)
	w.begin(origin{epoch: subjects.Epoch{Epoch: "e"}, epochSeq: 1, start: 1})
	for seq := range uint64(100_000) {
		if _, err := w.add([]arrival{{Message: event(seq+1, subjects.Room(fmt.Sprintf("booking.%d", seq%1000)))}}, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	buf := make([]*hub.Message, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		msgs, ok := w.room(1, "booking.42", 90_000, 100_000, buf[:0])
		if !ok || len(msgs) != 10 {
			b.Fatalf("%d messages, %v", len(msgs), ok)
		}
	}
}
