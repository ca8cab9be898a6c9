package publisher

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"github.com/petpro/fabric/subjects"
)

// recollection is what was published before the change being mapped. Each
// subject is asked for once.
type recollection struct {
	past  Past
	asked []published
	// err is the first one of past; what is answered after it means nothing.
	err error
}

// published is the last payload on a subject; ok is false if there is none.
type published struct {
	subject string
	data    []byte
	ok      bool
}

// begin forgets the former change.
func (r *recollection) begin() { r.asked, r.err = r.asked[:0], nil }

// last returns the payload last published on the subject.
func (r *recollection) last(subject string) (data []byte, ok bool) {
	for i := range r.asked {
		if p := &r.asked[i]; p.subject == subject {
			return p.data, p.ok
		}
	}
	if r.err != nil {
		return nil, false
	}
	data, ok, err := r.past.Last(subject)
	if err != nil {
		r.err = err
		return nil, false
	}
	r.asked = append(r.asked, published{subject, data, ok})
	return data, ok
}

// recalled is a column of changed() that the last message on the event's subject
// has under a key of its own.
type recalled struct {
	lone
	read func(*scope) Value
}

// differs compares the column of the row with the last message on its subject.
// If that does not tell, the column counts as changed.
func (r *recalled) differs(s *scope) bool {
	before := scope{columns: s.columns, row: s.row}
	if s.old[s.key].known {
		before.row = s.old // the subject is made of the key alone
	}
	subject, bad := s.event.subject.of(&before)
	if bad != nil {
		return true
	}
	data, ok := s.past.last(subject)
	if !ok {
		return true
	}
	was, there := jsonUnder(data, r.path)
	is := r.read(s)
	switch {
	case !there:
		return !r.optional || is.Valid
	case string(was) == "null" || !is.Valid:
		return string(was) != "null" || is.Valid
	}
	now := appendString(nil, is.Text)
	return !bytes.Equal(was, now) && !sameString(was, now)
}

// jsonUnder finds the value under a path of keys.
func jsonUnder(raw json.RawMessage, path []string) (value json.RawMessage, ok bool) {
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil, false
		}
		if raw, ok = object[key]; !ok {
			return nil, false
		}
	}
	return raw, ok
}

// sameString compares two JSON strings that may be escaped in different ways.
func sameString(a, b json.RawMessage) bool {
	var x, y string
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// recall tells from the last access record who is in a room; unknown if there is
// none. Whether it is open is for wasOpen.
func (r *room) recall(in subjects.Room, past *recollection) standing {
	data, ok := past.last(in.Subject(subjects.AccessType))
	if !ok {
		return standing{}
	}
	var record subjects.Access
	if json.Unmarshal(data, &record) != nil {
		return standing{}
	}
	st := standing{known: true, recalled: true}
	for user, role := range record.Participants {
		if subjects.CheckID(user) == nil {
			st.grants = append(st.grants, grant{user, role})
		}
	}
	slices.SortFunc(st.grants, func(a, b grant) int { return cmp.Compare(a.user, b.user) })
	return st
}

// fresh is the standing of a room that there was not yet: nobody's, unless a
// touch that was ahead of the log let somebody in.
func (r *room) fresh(in subjects.Room, past *recollection) standing {
	if past != nil {
		if st := r.recall(in, past); st.known {
			return st
		}
	}
	return standing{known: true}
}

// wasOpen tells from the index records of its participants, which agree, whether
// a room was open. None is written for a room that is closed when it is first
// published.
func (r *room) wasOpen(in subjects.Room, was standing, past *recollection) bool {
	if r.status < 0 {
		return true
	}
	for _, g := range was.grants {
		if data, ok := past.last(subjects.IndexSubject(g.user, in)); ok {
			var record subjects.Index
			return json.Unmarshal(data, &record) == nil && record.Open
		}
	}
	return false
}
