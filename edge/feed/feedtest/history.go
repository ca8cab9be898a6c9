package feedtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

func testFetchLastValues(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	r.publish("booking.42.access", "booking.42.status")
	grant := r.Publish("booking.42.access", `{"participants":{"u_7":"customer"}}`, time.Time{})
	status := r.publish("booking.42.status")
	moved := r.publish("booking.42.moved")
	r.publish("user.u_7.booking.42")
	note := r.publish("user.u_7.notification")
	logout := r.publish("user.u_7.control")
	last := r.publish("booking.77.status")
	a := r.fetch(
		hub.Ask{Room: user7, Fresh: true},
		hub.Ask{Room: "booking.nobody", Since: 1},
		hub.Ask{Room: room42, Fresh: true},
		hub.Ask{Room: room42, Since: moved},
	)
	if a.UpTo < last {
		t.Errorf("UpTo = %d, want at least %d", a.UpTo, last)
	}
	for i, want := range []struct {
		grant uint64
		last  []uint64
	}{{logout, []uint64{note}}, {0, nil}, {grant, []uint64{status, moved}}, {grant, []uint64{status, moved}}} {
		f := a.Rooms[i]
		var gotGrant uint64
		if f.Grant != nil {
			gotGrant = f.Grant.Seq
		}
		gotLast := seqs(f.Last)
		slices.Sort(gotLast)
		if gotGrant != want.grant || !slices.Equal(gotLast, want.last) {
			t.Errorf("%s: grant %d, last %v, want %d, %v", f.Room, gotGrant, gotLast, want.grant, want.last)
		}
		if len(f.Newer) != 0 || f.Over || f.Torn {
			t.Errorf("%s: newer %v, over %v, torn %v, want nothing", f.Room, seqs(f.Newer), f.Over, f.Torn)
		}
	}
	sameRecord(t, a.Rooms[2].Grant.Record, &subjects.Access{Participants: map[string]string{"u_7": "customer"}})
	if m := a.Rooms[2].Last[0]; m.Name.Room != room42 || m.Epoch != r.Feed.View().Epoch || m.Stamp == 0 {
		t.Errorf("last value = %+v of epoch %q at %d, want one of %s with epoch and time", m.Name, m.Epoch, m.Stamp, room42)
	}
}

func testFetchNewer(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	s1 := r.publish("booking.42.status")
	s2 := r.publish("booking.42.moved")
	r.publish("booking.77.status", "booking.42.access")
	s3 := r.publish("booking.42.status")
	s4 := r.publish("user.u_7.notification")
	r.publish("user.u_7.booking.42", "user.u_7.control")
	a := r.fetch(
		hub.Ask{Room: room42, Since: s1},
		hub.Ask{Room: user7, Since: s1},
		hub.Ask{Room: room42, Since: s3},
		hub.Ask{Room: room42, Since: 0},
	)
	for i, want := range [][]uint64{{s2, s3}, {s4}, {}, {s1, s2, s3}} {
		if got := seqs(a.Rooms[i].Newer); !slices.Equal(got, want) {
			t.Errorf("ask %d: newer = %v, want %v", i, got, want)
		}
	}
}

// testFetchCounts: everything newer that is still stored is there, so that who
// counts less than keep on a subject knows that nothing was dropped.
func testFetchCounts(t *testing.T, setup Setup) {
	l := roomy
	l.Keep = 5
	r := start(t, setup, l)
	since := r.publish("booking.42.status")
	var status, moved []uint64
	for range 12 {
		status = append(status, r.publish("booking.42.status"))
	}
	for range 4 {
		moved = append(moved, r.publish("booking.42.moved"))
	}
	f := r.fetch(hub.Ask{Room: room42, Since: since}).Rooms[0]
	want := slices.Concat(status[len(status)-5:], moved)
	if got := seqs(f.Newer); !slices.Equal(got, want) || f.Torn || f.Over {
		t.Errorf("newer = %v (torn %v, over %v), want the last 5 and all 4, %v", got, f.Torn, f.Over, want)
	}
}

func testFetchManyRooms(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	const n = 300
	var asks []hub.Ask
	var want []uint64
	since := r.publish("fabric.position")
	for i := range n {
		room := subjects.Room(fmt.Sprintf("booking.b%d", i))
		asks = append(asks, hub.Ask{Room: room, Since: since})
		r.publish(string(room) + ".access")
		want = append(want, r.publish(string(room)+".status"))
	}
	a := r.fetch(asks...)
	if a.UpTo < want[n-1] {
		t.Errorf("UpTo = %d, want at least %d", a.UpTo, want[n-1])
	}
	for i, f := range a.Rooms {
		if f.Grant == nil || !slices.Equal(seqs(f.Last), want[i:i+1]) || !slices.Equal(seqs(f.Newer), want[i:i+1]) {
			t.Fatalf("%s: grant %v, last %v, newer %v, want a grant and %d", f.Room, f.Grant, seqs(f.Last), seqs(f.Newer), want[i])
		}
	}
}

func testFetchOver(t *testing.T, setup Setup) {
	for _, tt := range []struct {
		name string
		l    Limits
		over bool
	}{
		{"within", Limits{Keep: 100, RingBytes: 1 << 20, ReplayEvents: 20, ReplayBytes: 1 << 20}, false},
		{"too many", Limits{Keep: 100, RingBytes: 1 << 20, ReplayEvents: 15, ReplayBytes: 1 << 20}, true},
		{"one room alone", Limits{Keep: 100, RingBytes: 1 << 20, ReplayEvents: 5, ReplayBytes: 1 << 20}, true},
		{"too large", Limits{Keep: 100, RingBytes: 1 << 20, ReplayEvents: 100, ReplayBytes: 15}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, setup, tt.l)
			since := r.publish("fabric.position")
			for range 10 {
				r.publish("booking.42.status", "booking.77.status")
			}
			a := r.fetch(hub.Ask{Room: room42, Since: since}, hub.Ask{Room: room77, Since: since})
			if got := a.Rooms[0].Over || a.Rooms[1].Over; got != tt.over {
				t.Errorf("over = %v, want %v", got, tt.over)
			}
			for _, f := range a.Rooms {
				if len(f.Last) != 1 {
					t.Errorf("%s: last = %v, want one value also beyond the limit", f.Room, seqs(f.Last))
				}
				if !f.Over && len(f.Newer) != 10 {
					t.Errorf("%s: %d newer messages and not over, want 10", f.Room, len(f.Newer))
				}
			}
		})
	}
}

func testIndex(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	r.publish("user.u_7.booking.42", "user.u_77.booking.1", "user.u_7.notification")
	want := map[subjects.Room]uint64{room77: r.publish("user.u_7.booking.77")}
	want[room42] = r.Publish("user.u_7.booking.42", `{"revoked":true}`, time.Time{})
	last := r.publish("user.u_7.control")
	gen := r.Feed.View().Gen
	a, err := r.History.Index(r.ctx, gen, "u_7")
	if err != nil {
		t.Fatal(err)
	}
	if a.UpTo < last {
		t.Errorf("UpTo = %d, want at least %d", a.UpTo, last)
	}
	got := map[subjects.Room]uint64{}
	for _, m := range a.Records {
		got[m.Name.Target] = m.Seq
		if _, ok := m.Record.(*subjects.Index); !ok {
			t.Errorf("record of %s is a %T", m.Name.Target, m.Record)
		}
	}
	if len(a.Records) != 2 || got[room42] != want[room42] || got[room77] != want[room77] {
		t.Errorf("index = %v, want %v", got, want)
	}
	if a, err := r.History.Index(r.ctx, gen, "nobody"); err != nil || len(a.Records) != 0 || a.UpTo < last {
		t.Errorf("index of an unknown user = %v, want nothing as of at least %d", a, last)
	}
}

func testStored(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	var all []uint64
	for i := range 6 {
		all = append(all, r.publish(fmt.Sprintf("booking.42.%s", []string{"status", "moved"}[i%2])))
		r.publish("booking.42.access", "booking.77.status")
	}
	gen := r.Feed.View().Gen
	for _, tt := range []struct {
		name   string
		room   subjects.Room
		before uint64
		limit  int
		want   []uint64
		more   bool
	}{
		{"the newest", room42, 0, 2, all[4:], true},
		{"before", room42, all[4], 3, all[1:4], true},
		{"the oldest", room42, all[2], 3, all[:2], false},
		{"exactly all", room42, 0, 6, all, false},
		{"before the first", room42, all[0], 3, nil, false},
		{"unknown room", "booking.nobody", 0, 3, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			msgs, more, err := r.History.Stored(r.ctx, gen, tt.room, tt.before, tt.limit)
			if err != nil || more != tt.more || !slices.Equal(seqs(msgs), tt.want) {
				t.Errorf("Stored(%s, %d, %d) = %v, %v, %v, want %v, %v", tt.room, tt.before, tt.limit, seqs(msgs), more, err, tt.want, tt.more)
			}
		})
	}
}
