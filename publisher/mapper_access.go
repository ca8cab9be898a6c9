package publisher

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/petpro/fabric/subjects"
)

// statusColumn is the column that mapping.terminal speaks of. The rooms of a
// table without it are open as long as anybody may enter.
const statusColumn = "status"

// room makes rows of a table rooms: who may enter them, and whether they are
// still open.
type room struct {
	kind string
	// participants in the alphabetical order of their templates: a user who
	// comes twice has the role of the first.
	participants []participant
	// gone is nil if a row is gone only when it is deleted.
	gone *condition
	// status is the number of the column, -1 if none decides.
	status   int
	terminal map[string]bool
}

// named is the room of the row with that key.
func (r *room) named(id string) subjects.Room { return subjects.Room(r.kind + "." + id) }

type participant struct {
	user *text
	role string
}

// grant is one user's place in a room.
type grant struct{ user, role string }

// standing is who may be in a room at one moment, sorted by user, and whether
// it is open. It is unknown when the source did not give the old row.
type standing struct {
	grants []grant
	open   bool
	known  bool
	// recalled: grants are those last published, open is not known yet.
	recalled bool
}

// judge computes the standing from a row as it is. A row whose columns are not
// all known gives an unknown standing; what is missing is then in s.lacking. If
// it cannot be known any more (s.unknown) it lets nobody in.
// The error is for a user id that cannot be part of a subject.
func (r *room) judge(s *scope) (standing, *MapError) {
	st := standing{known: true}
	if s.deleted || r.gone != nil && r.gone.may(s) {
		st.known = s.lacking == ""
		return st, nil
	}
	var bad *MapError
	for _, p := range r.participants {
		user := p.user.value(s)
		if s.leaveOut() || !user.Valid || slices.ContainsFunc(st.grants, func(g grant) bool { return g.user == user.Text }) {
			continue
		}
		if err := subjects.CheckID(user.Text); err != nil {
			if bad == nil {
				bad = &MapError{Column: p.user.source, Err: fmt.Errorf(
					"%w; a participant is named by one account id such as u_7: map the column that holds it", err)}
			}
			continue
		}
		st.grants = append(st.grants, grant{user.Text, p.role})
	}
	slices.SortFunc(st.grants, func(a, b grant) int { return cmp.Compare(a.user, b.user) })
	st.open = len(st.grants) > 0
	if st.open && r.status >= 0 {
		st.open = !r.terminal[s.value(r.status).Text] && !s.leaveOut()
	}
	st.known = s.lacking == ""
	return st, bad
}

// role of a user; false if there is none.
func (st standing) role(user string) (string, bool) {
	i, ok := slices.BinarySearchFunc(st.grants, user, func(g grant, user string) int { return cmp.Compare(g.user, user) })
	if !ok {
		return "", false
	}
	return st.grants[i].role, true
}

// appendAccess writes a subjects.Access.
func (st standing) appendAccess(dst []byte) []byte {
	dst = append(dst, `{"participants":{`...)
	for i, g := range st.grants {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, g.user), ':')
		dst = appendString(dst, g.role)
	}
	return append(dst, "}}"...)
}

// appendIndex writes a subjects.Index; no role means revoked.
func appendIndex(dst []byte, role string, open bool, updated string) []byte {
	dst = append(dst, '{')
	if role != "" {
		dst = append(appendString(append(dst, `"role":`...), role), ',')
	}
	if open {
		dst = append(dst, `"open":true`...)
	} else {
		dst = append(dst, `"open":false`...)
	}
	if updated != "" {
		dst = appendString(append(dst, `,"updated":`...), updated)
	}
	if role == "" {
		dst = append(dst, `,"revoked":true`...)
	}
	return append(dst, '}')
}
