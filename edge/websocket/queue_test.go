package websocket

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestQueueModel compares the queue with the plain list of what was added: what
// comes out is the frames in order, whole, and the counts are what is left.
func TestQueueModel(t *testing.T) {
	const maxFrames, maxBytes = 16, 4096
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var q queue
	var model [][]byte // frames not wholly sent
	var out, want []byte
	exempt := -1 // index in model
	pop := func(n int) {
		for n += len(out) - len(want); len(model) > 0 && n >= len(model[0]); {
			want = append(want, model[0]...)
			n -= len(model[0])
			model = model[1:]
			exempt = max(-1, exempt-1)
		}
	}
	buf := make([]byte, 0, 1024)
	for step := range 20_000 {
		switch op := random.IntN(10); {
		case op < 6:
			frame := bytes.Repeat([]byte{byte(step)}, 1+random.IntN(1500))
			counted := 0
			for i, f := range model {
				if i != exempt {
					counted += len(f)
				}
			}
			if op == 0 {
				if ok := q.addExempt(frame); ok != (exempt < 0) {
					t.Fatalf("step %d: addExempt = %t with an exempt frame at %d", step, ok, exempt)
				} else if ok {
					exempt = len(model)
					model = append(model, frame)
				}
				continue
			}
			fits := len(model) == 0 || len(model) < maxFrames && counted+len(frame) <= maxBytes
			if ok := q.add(frame, maxFrames, maxBytes); ok != fits {
				t.Fatalf("step %d: add of %d to %d frames of %d bytes = %t", step, len(frame), len(model), counted, ok)
			}
			if fits {
				model = append(model, frame)
				counted += len(frame)
			}
			if q.len() != len(model) || q.bytes != counted {
				t.Fatalf("step %d: queue counts %d frames, %d bytes, want %d, %d", step, q.len(), q.bytes, len(model), counted)
			}
		case op < 9:
			if q.empty() != (len(model) == 0) {
				t.Fatalf("step %d: empty = %t with %d frames", step, q.empty(), len(model))
			}
			if q.empty() {
				continue
			}
			chunk := q.gather(buf)
			n := len(chunk)
			if random.IntN(2) == 0 {
				n = random.IntN(n + 1) // the socket takes less, or nothing
			}
			// Booked before the bytes are appended: n counts from what is sent.
			taken := append([]byte(nil), chunk[:n]...)
			pop(n)
			out = append(out, taken...)
			q.consume(n)
		case random.IntN(50) == 0:
			q.drop()
			if begun := len(out) - len(want); begun > 0 {
				model = model[:1] // the frame the socket has begun
			} else {
				model = nil
			}
			exempt = -1
		}
		if begun := len(out) - len(want); begun > 0 && !bytes.Equal(out[len(want):], model[0][:begun]) || !bytes.Equal(out[:len(want)], want) {
			t.Fatalf("step %d: the stream is torn", step)
		}
		if step%1000 == 0 { // keep the comparison short
			out, want = append([]byte(nil), out[len(want):]...), nil
		}
	}
}

// An idle connection keeps next to nothing, and never a frame.
func TestQueueForgets(t *testing.T) {
	var q queue
	for range 100 {
		q.force(make([]byte, 10))
	}
	q.consume(1000)
	if q.frames != nil {
		t.Errorf("after 100 frames an empty queue keeps %d places", cap(q.frames))
	}
	q.force(make([]byte, 10))
	places := q.frames[:1]
	q.consume(10)
	if places[0] != nil {
		t.Error("the queue still refers to a frame that was sent")
	}
}

// A full queue that is never empty does not grow for ever.
func TestQueueReuses(t *testing.T) {
	var q queue
	for range 10_000 {
		for q.add(make([]byte, 10), 4, 1000) {
		}
		q.consume(10)
	}
	if cap(q.frames) > 16 {
		t.Errorf("4 frames take %d places", cap(q.frames))
	}
}

func TestSeal(t *testing.T) {
	for _, tt := range []struct {
		size   int
		header []byte
	}{
		{0, []byte{opText, 0}}, {125, []byte{opText, 125}}, {126, []byte{opText, 126, 0, 126}},
		{65535, []byte{opText, 126, 255, 255}}, {65536, []byte{opText, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		payload := bytes.Repeat([]byte("x"), tt.size)
		got := seal(opText, append(make([]byte, headroom), payload...))
		if !bytes.Equal(got, append(tt.header, payload...)) {
			t.Errorf("seal of %d bytes begins with % x, want % x", tt.size, got[:min(12, len(got))], tt.header)
		}
	}
}
