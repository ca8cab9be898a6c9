package feed

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// at builds an arrival with more messages behind it, or none.
func at(seq, pending uint64) arrival {
	return arrival{Message: event(seq, "booking.42"), pending: pending}
}

func epochAt(seq uint64, e string) arrival {
	return arrival{Message: &hub.Message{Seq: seq, Name: subjects.Name{Class: subjects.NewEpoch}, Record: &subjects.Epoch{Epoch: e, Keep: 7}}}
}

// TestWindow: a stream whose leader ended at 10 when the ring was warmed from
// 5 on.
func TestWindow(t *testing.T) {
	type want struct {
		ready                 bool
		gen                   uint64
		from, exactFrom, last uint64
	}
	for _, tt := range []struct {
		name  string
		steps [][]arrival // nil: the consumer is idle
		// later passes before the last step.
		later time.Duration
		want  want
	}{
		{"before anything", nil, 0, want{false, 1, 5, 11, 4}},
		{"warming", [][]arrival{{at(5, 9), at(6, 8)}}, 0, want{false, 1, 5, 11, 6}},
		{"warm at the leader's end", [][]arrival{{at(5, 9), at(10, 8)}}, 0, want{true, 1, 5, 11, 10}},
		{"warm at the consumer's end", [][]arrival{{at(5, 1), at(8, 0)}}, 0, want{true, 1, 5, 11, 8}},
		{"warm with nothing", [][]arrival{nil}, 0, want{true, 1, 5, 11, 4}},
		{"skipped sequences up to the border are no hole", [][]arrival{{at(5, 1), at(8, 0)}, {at(11, 3)}}, 0, want{true, 1, 5, 11, 11}},
		{"a hole holds the watermark back", [][]arrival{{at(10, 0)}, {at(13, 5), at(14, 4)}}, 0, want{true, 1, 10, 11, 10}},
		{"a hole ends at the end", [][]arrival{{at(10, 0)}, {at(13, 1)}, {at(14, 0)}}, 0, want{true, 1, 10, 15, 14}},
		{"a hole ends when the consumer is idle", [][]arrival{{at(10, 0)}, {at(13, 1)}, nil}, 0, want{true, 1, 10, 14, 13}},
		{"a hole ends after a while", [][]arrival{{at(10, 0)}, {at(13, 9)}, {at(14, 9)}}, 2 * holeMax, want{true, 1, 10, 15, 14}},
		{"one hole behind another", [][]arrival{{at(10, 0)}, {at(13, 9), at(20, 8)}, {at(21, 0)}}, 0, want{true, 1, 10, 22, 21}},
		{"a hole just behind the border", [][]arrival{{at(10, 0)}, {at(12, 0)}}, 0, want{true, 1, 10, 13, 12}},
		{"not ready inside a hole", [][]arrival{{at(12, 5)}}, 0, want{false, 1, 5, 11, 4}},
		{"a new epoch", [][]arrival{{at(10, 0)}, {at(11, 2), epochAt(12, "f"), at(13, 0)}}, 0, want{true, 2, 12, 12, 13}},
		{"a new epoch ends a hole", [][]arrival{{at(10, 0)}, {at(13, 9), epochAt(20, "f")}}, 0, want{true, 2, 20, 20, 20}},
		{"its own epoch is not new", [][]arrival{{epochAt(5, "e"), at(6, 0)}}, 0, want{true, 1, 5, 11, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow(1 << 20)
			w.begin(origin{epoch: subjects.Epoch{Epoch: "e"}, epochSeq: 5, start: 5, end: 10})
			now := time.Now()
			for i, step := range tt.steps {
				if i == len(tt.steps)-1 {
					now = now.Add(tt.later)
				}
				if step == nil {
					w.idle()
				} else if _, err := w.add(step, now); err != nil {
					t.Fatal(err)
				}
			}
			v := w.look()
			if got := (want{v.Ready, v.Gen, v.From, v.ExactFrom, v.Last}); got != tt.want {
				t.Errorf("ready, gen, from, exactFrom, last = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRingRunsPastAHole: readers at the watermark are not told that the ring
// has run past them while delivery is held back.
func TestRingRunsPastAHole(t *testing.T) {
	w := newWindow(4 * at(1, 0).Size())
	w.begin(origin{epoch: subjects.Epoch{Epoch: "e"}, epochSeq: 1, start: 1})
	steps := [][]arrival{{at(1, 0)}, {at(3, 9), at(4, 9), at(5, 9), at(6, 9), at(7, 9), at(8, 9)}}
	for _, s := range steps {
		if _, err := w.add(s, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if v := w.look(); v.From != 2 || v.Last != 1 {
		t.Errorf("From %d, Last %d, want 2, 1", v.From, v.Last)
	}
	if _, _, ok := w.read(1, 1, make([]*hub.Message, 0, 1)); !ok {
		t.Error("read at the watermark is not ok")
	}
}

func TestWindowRefusesWhatCannotFollow(t *testing.T) {
	for name, second := range map[string]arrival{
		"a sequence again":        at(7, 0),
		"a lower sequence":        at(6, 0),
		"an epoch without a name": epochAt(8, ""),
		"an epoch's double":       epochAt(8, "g"),
	} {
		w := newWindow(1 << 20)
		w.begin(origin{epoch: subjects.Epoch{Epoch: "e"}, epochSeq: 8, start: 5, end: 10})
		_, err := w.add([]arrival{at(7, 1), second}, time.Now())
		if _, ok := errors.AsType[otherHistory](err); !ok {
			t.Errorf("%s: %v, want another history", name, err)
		}
	}
}

func TestLimitsOfTheEpoch(t *testing.T) {
	w := newWindow(1 << 20)
	var e subjects.Epoch
	if err := json.Unmarshal([]byte(`{"epoch":"e","reason":"test","keep":128,"retention":"2160h"}`), &e); err != nil {
		t.Fatal(err)
	}
	w.begin(origin{epoch: e, epochSeq: 5, positionSeq: 6, start: 5, end: 10})
	if v := w.look(); v.Keep != 128 || v.Retention != 2160*time.Hour || !v.Settled {
		t.Errorf("keep %d, retention %s, settled %v, want 128, 2160h, true", v.Keep, v.Retention, v.Settled)
	}
	if _, err := w.add([]arrival{epochAt(11, "f")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if v := w.look(); v.Keep != 7 || v.Settled {
		t.Errorf("keep %d, settled %v in the next epoch, want 7, false", v.Keep, v.Settled)
	}
}
