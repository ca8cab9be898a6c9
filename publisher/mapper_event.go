package publisher

import (
	"fmt"

	"github.com/petpro/fabric/subjects"
)

// event is a compiled Event.
type event struct {
	when *condition
	// status events tell a state, and are part of a snapshot.
	status  bool
	subject eventSubject
	payload render
	notify  []notification
	// recall: the columns of changed() that the last message tells, by number.
	recall map[int]*recalled
}

// eventSubject is a compiled subject template: "booking." {id} ".status".
type eventSubject struct {
	prefix, suffix string
	id             *text
}

// notification is a compiled Notify.
type notification struct {
	to                  *text
	typ, title, message render
}

// publishEvents adds the events that the change makes, then their
// notifications.
func (t *table) publishEvents(op Op, s *scope, out *batch) *MapError {
	if op == Touch {
		return nil
	}
	t.holds = t.holds[:0]
	for i := range t.events {
		s.event = &t.events[i]
		t.holds = append(t.holds, t.events[i].holds(op, s))
	}
	for i, holds := range t.holds {
		if holds {
			t.events[i].publish(s, out)
		}
	}
	for i, holds := range t.holds {
		if !holds || op == Snapshot {
			continue
		}
		for j := range t.events[i].notify {
			t.events[i].notify[j].publish(s, s.row[t.key].Value, out)
		}
	}
	if s.lacking != "" {
		return s.missing()
	}
	return out.err
}

// holds judges the condition. For a snapshot it holds if it would for an insert
// of the row or for an update of all its columns.
func (e *event) holds(op Op, s *scope) bool {
	if op != Snapshot {
		return e.when.of(s)
	}
	if !e.status {
		return false
	}
	inserted, renewed := *s, *s
	inserted.inserted, renewed.renewed = true, true
	holds := e.when.of(&inserted) || e.when.of(&renewed)
	s.lack(inserted.lacking)
	s.lack(renewed.lacking)
	return holds
}

func (e *event) publish(s *scope, out *batch) {
	subject, err := e.subject.of(s)
	if s.leaveOut() {
		return
	}
	if err != nil {
		out.fail(err)
		return
	}
	out.scratch, _ = e.payload(out.scratch, s)
	out.add(subject, true)
}

// of builds the subject for a row.
func (e *eventSubject) of(s *scope) (string, *MapError) {
	id := e.id.value(s)
	if !id.Valid {
		return "", &MapError{Column: e.id.source, Err: fmt.Errorf(
			"%w; keep such rows out with a condition (set(column)) or give the column a value", ErrNullSubject)}
	}
	if err := subjects.CheckID(id.Text); err != nil {
		return "", &MapError{Column: e.id.source, Err: fmt.Errorf("%w; it is a token of a subject: map a column that holds an id", err)}
	}
	return e.prefix + id.Text + e.suffix, nil
}

// publish adds the notification, unless there is nobody to notify. key is the
// row's.
func (n *notification) publish(s *scope, key Value, out *batch) {
	to := n.to.value(s)
	if s.leaveOut() || !to.Valid {
		return
	}
	if err := subjects.CheckID(to.Text); err != nil {
		out.fail(&MapError{Column: n.to.source, Err: fmt.Errorf("%w; a user is notified by account id: map the column that holds it", err)})
		return
	}
	b := append(out.scratch, '{')
	for _, field := range [...]struct {
		name   string
		render render
	}{{`"type":`, n.typ}, {`"title":`, n.title}, {`"message":`, n.message}} {
		mark := len(b)
		var ok bool
		if b, ok = field.render(append(b, field.name...), s); s.leaveOut() || !ok {
			b = b[:mark]
			continue
		}
		b = append(b, ',')
	}
	b = append(b, `"bookingId":`...)
	if key.Valid {
		b = appendString(b, key.Text)
	} else {
		b = append(b, "null"...)
	}
	if at := out.updated(); at != "" {
		b = appendString(append(b, `,"createdAt":`...), at)
	}
	out.scratch = append(b, '}')
	out.add(subjects.UserRoom(to.Text).Subject(subjects.NotificationType), true)
}
