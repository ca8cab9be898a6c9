package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// After more than keep changes the gap's bounds are exact: nothing outside of
// them is missing, nothing inside was delivered; then comes the last value.
// With one change less nothing is lost.
func TestGapBoundsAfterKeep(t *testing.T) { eachShop(t, databases, gapBoundsAfterKeep) }

func gapBoundsAfterKeep(t *testing.T, shop option) {
	const keep = 8
	for _, tt := range []struct {
		name   string
		ring   int
		missed int
		gap    bool
	}{
		{"history, keep missed", 64 << 10, keep, true},
		{"history, one less", 64 << 10, keep - 1, false},
		{"history, many", 64 << 10, 5 * keep, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, 150, withKeep(keep), withRing(tt.ring), shop)
			c := dial(t, s.edges[0].url)
			c.connect(token(t, "vera"), "", room(0), room(1))
			s.set(0, "confirmed")
			seen := c.wait("event", func(f frame) bool { return f.Event != nil && !f.Event.Snapshot }).Event.Seq
			cursor := c.position()
			c.close()
			for i := range tt.missed {
				s.set(0, fmt.Sprintf("s%d", i))
			}
			s.exec(`UPDATE bookings SET status = 'confirmed' WHERE id NOT IN ('b_0', 'b_1')`) // pushes the ring on
			s.set(1, "cancelled")
			s.settleAfter(1, "cancelled")
			last := s.published(0, fmt.Sprintf("s%d", tt.missed-1))

			c = dial(t, s.edges[1].url)
			reply := c.connect(token(t, "vera"), cursor, room(0), room(1))
			if reply.Recovered == tt.gap || *reply.Rooms[room(0)].Recovered == tt.gap || !*reply.Rooms[room(1)].Recovered {
				t.Errorf("reply %+v, want gap %v in the first room only", reply, tt.gap)
			}
			got := c.events(room(0))
			if !tt.gap {
				if len(got) != tt.missed || len(c.gaps()) > 0 {
					t.Errorf("%d events and gaps %+v, want %d events", len(got), c.gaps(), tt.missed)
				}
				return
			}
			want := gap{Room: room(0), Type: "status", After: seen, Before: last, Reason: "trimmed"}
			if g := c.gaps(); len(g) != 1 || g[0] != want {
				t.Errorf("gaps %+v, want %+v", g, want)
			}
			if len(got) != 1 || !got[0].Snapshot || got[0].Seq != last {
				t.Errorf("after the gap: %+v, want the last value alone", got)
			}
		})
	}
}

// A new epoch (here: another limit) is told to who is connected and to who
// was away, with fresh last values; cursors of it work again.
func TestEpochChange(t *testing.T) { eachShop(t, databases, epochChange) }

func epochChange(t *testing.T, shop option) {
	s := start(t, 2, withKeep(64), shop)
	c, away := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	c.connect(token(t, "carl"), "", room(0), room(1))
	away.connect(token(t, "carl"), "", room(0))
	cursor := away.position()
	away.close()

	if err := s.pub.stop(); err != nil {
		t.Fatal(err)
	}
	s.keep = 32
	s.publish()
	for i := range 2 {
		c.wait("gap", func(f frame) bool { return f.Gap != nil && f.Gap.Room == room(i) && f.Gap.Reason == "epoch" })
	}
	c.wait("live in the new epoch", func(f frame) bool {
		return f.Live != nil && f.Live.Room == "" && epochOf(f.Live.Cursor) != epochOf(cursor)
	})
	s.settle()

	away = dial(t, s.edges[1].url)
	reply := away.connect(token(t, "carl"), cursor, room(0))
	if reply.Recovered {
		t.Error("recovered over a change of epoch")
	}
	if g := away.gaps(); len(g) == 0 || g[0].Reason != "epoch" {
		t.Errorf("gaps %+v, want one with reason epoch", g)
	}
	if got := away.events(room(0)); len(got) != 1 || !got[0].Snapshot {
		t.Errorf("after the gap: %+v, want one snapshot", got)
	}
	fresh := away.position()
	away.close()
	s.set(0, "confirmed")
	s.settleAfter(0, "confirmed")
	away = dial(t, s.edges[0].url)
	if r := away.connect(token(t, "carl"), fresh, room(0)); !r.Recovered {
		t.Errorf("a cursor of the new epoch: %+v", r)
	}
	if got := statuses(away.events(room(0))); !slices.Equal(got, []string{"confirmed"}) {
		t.Errorf("got %v", got)
	}
}

// The stream loses its end (a store restored from an older copy). Nobody is
// told "recovered"; everybody ends on the database's truth.
func TestTruncatedLog(t *testing.T) {
	t.Parallel()
	s := start(t, 2, withConfirmDelay(time.Minute))
	c, away := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	c.connect(token(t, "carl"), "", room(0))
	away.connect(token(t, "carl"), "", room(0))

	s.nats.Stop()
	backup := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(backup, os.DirFS(s.nats.Dir())); err != nil {
		t.Fatal(err)
	}
	s.nats.Start(t)
	for i := range 30 {
		s.set(0, fmt.Sprintf("s%d", i))
	}
	for _, c := range []*client{c, away} {
		c.wait("s29", func(f frame) bool { return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "s29") })
	}
	cursor := away.position()
	away.close()

	s.nats.Stop()
	if err := os.RemoveAll(s.nats.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.nats.Dir(), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	s.nats.Start(t)
	s.set(0, "after")
	c.wait("gap", func(f frame) bool { return f.Gap != nil && f.Gap.Room == room(0) && f.Gap.Reason == "epoch" })
	c.wait("the truth", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "after")
	})
	away = dial(t, s.edges[1].url)
	if r := away.connect(token(t, "carl"), cursor, room(0)); r.Recovered {
		t.Errorf("recovered from a position that no longer exists: %+v", r)
	}
	away.wait("the truth", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "after")
	})
}

// epochOf a cursor: what stands before its first dash.
func epochOf(cursor string) string {
	for i := range cursor {
		if cursor[i] == '-' {
			return cursor[:i]
		}
	}
	return cursor
}
