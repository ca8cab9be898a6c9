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

// done is what the stream has of a row.
type done struct {
	// all of it is there.
	all bool
	// some of it may be: events are so many of its events.
	some   bool
	events int
}

// at says what the stream has of the row at place.
func (r *resume) at(place string) done {
	if r.passed {
		return done{}
	}
	switch c := r.compare(place, r.from.Place); {
	case c < 0, c == 0 && r.from.Done == AllDone:
		return done{all: true}
	case c == 0:
		return done{some: true, events: r.from.Done}
	}
	r.passed = true
	return done{}
}

// leftOut counts the events that are not published again.
func (d done) leftOut(msgs []Message) (events int) {
	if !d.all {
		return d.events
	}
	for _, m := range msgs {
		if m.Event {
			events++
		}
	}
	return events
}
