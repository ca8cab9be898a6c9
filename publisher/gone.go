package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// revoker takes away, after sources were published anew under a new epoch, what
// records of before still grant: the present state has no row that would have
// renewed them. It comes behind the snapshots and before the fabric.position
// that closes the epoch.
//
//	record older than the epoch            becomes
//	access, not empty                      empty: the row is gone; its participants' index records revoked
//	index, open, user still participant    closed: the room reached a terminal state
//	index, open, user no participant       revoked
//
// What other sources, which go on from their positions, have written stays.
type revoker struct {
	*session
	leader stream.Leader
	at     time.Time
	emit   func(msgs []Message) error
	// gone counts the rooms that lost their access.
	gone int
}

// revoke goes over all kinds of rooms that the mapping makes. emit hands
// messages over.
func (s *session) revoke(ctx context.Context, emit func([]Message) error) (gone int, err error) {
	r := &revoker{session: s, leader: stream.NewLeader(s.nc, s.cfg.Stream), at: time.Now(), emit: emit}
	for _, kind := range s.cfg.Mapping.kinds() {
		if err := r.leader.Stale(ctx, s.epoch, kind+".*."+subjects.AccessType, r.access); err != nil {
			return r.gone, err
		}
		// What was revoked with its room may not be in the stream yet; it is
		// revoked once more then, which is harmless.
		if err := s.flight.landed(ctx); err != nil {
			return r.gone, err
		}
		pattern := subjects.IndexPattern("*", kind)
		if err := r.leader.Stale(ctx, s.epoch, pattern, func(m *jetstream.RawStreamMsg) error { return r.index(ctx, m) }); err != nil {
			return r.gone, err
		}
	}
	return r.gone, nil
}

// mayRevoke asks, before an epoch is begun, whether what it must revoke can be
// found: an epoch that cannot be closed is begun again and again.
func (s *session) mayRevoke(ctx context.Context) error {
	if s.freshRows() == "" {
		return nil
	}
	leader := stream.NewLeader(s.nc, s.cfg.Stream)
	e, err := leader.Epoch(ctx)
	if err == nil {
		err = leader.Stale(ctx, e.Seq, subjects.PositionSubject, func(*jetstream.RawStreamMsg) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("a new epoch is needed, and it cannot be found out what to revoke with it: %w; may the publisher publish to $JS.API.CONSUMER.CREATE.%[2]s.> and $JS.API.CONSUMER.MSG.NEXT.%[2]s.>?", err, s.cfg.Stream)
	}
	return nil
}

// kinds of rooms that the mapping's rows are.
func (m Mapping) kinds() []string {
	var kinds []string
	for _, t := range m.Tables {
		if t.Access != nil {
			kinds = append(kinds, t.Access.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// access empties the record of a room that has no row any more.
func (r *revoker) access(m *jetstream.RawStreamMsg) error {
	if r.others(m) {
		return nil
	}
	grants, err := participants(m)
	if err != nil || len(grants) == 0 {
		return err
	}
	t := turn{
		room:   subjects.Room(strings.TrimSuffix(m.Subject, "."+subjects.AccessType)),
		before: standing{grants: grants, known: true},
		after:  standing{known: true},
	}
	out := &batch{time: r.at}
	t.access(out)
	t.closing(out)
	r.gone++
	return r.emit(out.messages)
}

// index closes the record of a user's room that is not open to them any more.
func (r *revoker) index(ctx context.Context, m *jetstream.RawStreamMsg) error {
	var record subjects.Index
	if err := json.Unmarshal(m.Data, &record); err != nil {
		return foreignRecord(m, err)
	}
	if !record.Open || r.others(m) {
		return nil
	}
	name, err := subjects.Kinds(r.cfg.Kinds).Parse(m.Subject)
	if err != nil {
		return foreignRecord(m, err)
	}
	var now standing
	access, err := r.leader.Last(ctx, name.Target.Subject(subjects.AccessType))
	if err == nil {
		now.grants, err = participants(access)
	}
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	role, _ := now.role(name.Room.ID())
	t := turn{room: name.Target}
	out := &batch{time: r.at}
	t.index(grant{user: name.Room.ID(), role: role}, out)
	return r.emit(out.messages)
}

// others says whether the record is of a source that is not published anew.
func (r *revoker) others(m *jetstream.RawStreamMsg) bool {
	name := author(m.Header.Get(subjects.PositionHeader))
	is := func(src Source) bool { return src.Name() == name }
	return slices.ContainsFunc(r.sources, is) && !slices.ContainsFunc(r.fresh, is)
}

// participants of an access record, by user.
func participants(m *jetstream.RawStreamMsg) ([]grant, error) {
	var record subjects.Access
	if err := json.Unmarshal(m.Data, &record); err != nil {
		return nil, foreignRecord(m, err)
	}
	grants := make([]grant, 0, len(record.Participants))
	for user, role := range record.Participants {
		grants = append(grants, grant{user, role})
	}
	slices.SortFunc(grants, func(a, b grant) int { return strings.Compare(a.user, b.user) })
	return grants, nil
}

func foreignRecord(m *jetstream.RawStreamMsg, err error) error {
	return fmt.Errorf("record %s at sequence %d is not the publisher's: %w; nobody else may publish there", m.Subject, m.Sequence, err)
}
