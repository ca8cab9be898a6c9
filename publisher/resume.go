package publisher

import "time"

// unroll gives each message of a row the position that holds once it is in the
// stream. skip events are there already; records are repeated. The row's last
// message, or a mark if none is left, says that it is complete.
func unroll(source, place string, at time.Time, msgs []Message, skip int) []outgoing {
	out := make([]outgoing, 0, len(msgs)+1)
	done := 0
	for i := range msgs {
		if msgs[i].Event {
			if done++; done <= skip {
				continue
			}
		}
		out = append(out, outgoing{message: &msgs[i], source: source, position: Position{place, max(done, skip)}, time: at})
	}
	complete := Position{place, AllDone}
	if len(out) == 0 {
		return append(out, outgoing{source: source, position: complete})
	}
	out[len(out)-1].position = complete
	return out
}

// resume leaves out what the stream already holds when a source is run again
// from its position.
type resume struct {
	from    Position
	compare func(a, b string) int
	passed  bool
}

// skip says how many events of the row at place are in the stream already;
// all is true if the whole row is.
func (r *resume) skip(place string) (events int, all bool) {
	if r.passed {
		return 0, false
	}
	switch c := r.compare(place, r.from.Place); {
	case c < 0, c == 0 && r.from.Done == AllDone:
		return 0, true
	case c == 0:
		return r.from.Done, false
	}
	r.passed = true
	return 0, false
}
