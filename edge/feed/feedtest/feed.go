package feedtest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

func testStart(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	v := r.reach(1)
	if v.Epoch == "" || v.Keep != roomy.Keep || v.Retention != r.Retention {
		t.Errorf("view = epoch %q, keep %d, retention %s, want an epoch, %d and %s", v.Epoch, v.Keep, v.Retention, roomy.Keep, r.Retention)
	}
	if v.Gen == 0 {
		t.Error("generation 0 is running, it must be what nothing was begun under")
	}
	if v.From == 0 || v.From > v.Last+1 || v.ExactFrom > v.Last+1 {
		t.Errorf("From %d, ExactFrom %d, want both in 1..Last+1 = %d", v.From, v.ExactFrom, v.Last+1)
	}
	if v.LastStamp == 0 {
		t.Error("LastStamp is 0")
	}
}

func testMessages(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	at := time.Date(2026, 11, 22, 10, 30, 0, 123_000_000, time.UTC)
	for _, tt := range []struct {
		name, subject, data string
		at                  time.Time
		want                subjects.Name
		record              any
	}{
		{
			name: "event", subject: "booking.42.status", data: `{"status":"confirmed"}`, at: at,
			want: subjects.Name{Class: subjects.Event, Room: room42, Type: "status"},
		},
		{
			name: "event without a time", subject: "user.u_7.notification", data: `{}`,
			want: subjects.Name{Class: subjects.Event, Room: user7, Type: "notification"},
		},
		{
			name: "access", subject: "booking.42.access", data: `{"participants":{"u_7":"customer"}}`,
			want:   subjects.Name{Class: subjects.Grant, Room: room42},
			record: &subjects.Access{Participants: map[string]string{"u_7": "customer"}},
		},
		{
			name: "access that does not decode", subject: "booking.42.access", data: `{"participants":{"u_7":"customer"},`,
			want:   subjects.Name{Class: subjects.Grant, Room: room42},
			record: &subjects.Access{},
		},
		{
			name: "index", subject: "user.u_7.booking.42", data: `{"role":"vendor","open":true}`,
			want:   subjects.Name{Class: subjects.Indexed, Room: user7, Target: room42},
			record: &subjects.Index{Role: "vendor", Open: true},
		},
		{
			name: "control", subject: "user.u_7.control", data: `{"notBefore":17}`,
			want:   subjects.Name{Class: subjects.Logout, Room: user7},
			record: &subjects.Control{NotBefore: 17},
		},
		{name: "position", subject: "fabric.position", want: subjects.Name{Class: subjects.Progress}},
		{name: "unknown", subject: "booking.42.much.too.long", data: `{}`, want: subjects.Name{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seq := r.Publish(tt.subject, tt.data, tt.at)
			v := r.reach(seq)
			msgs, _, ok := r.Feed.Read(v.Gen, seq-1, make([]*hub.Message, 0, 1))
			if !ok || len(msgs) != 1 {
				t.Fatalf("Read behind %d = %v, %v, want one message", seq-1, seqs(msgs), ok)
			}
			m := msgs[0]
			if m.Seq != seq || m.Name != tt.want || m.Epoch != v.Epoch {
				t.Errorf("message = %d %+v of epoch %q, want %d %+v of %q", m.Seq, m.Name, m.Epoch, seq, tt.want, v.Epoch)
			}
			if tt.want.Class == subjects.Event && string(m.Data) != tt.data {
				t.Errorf("data = %q, want %q", m.Data, tt.data)
			}
			if m.Stamp != v.LastStamp {
				t.Errorf("stamp = %d, want that of the watermark, %d", m.Stamp, v.LastStamp)
			}
			want := tt.at
			if want.IsZero() {
				want = time.UnixMicro(m.Stamp)
			}
			if d := m.Time.Sub(want).Abs(); d >= time.Microsecond {
				t.Errorf("time = %s, want %s", m.Time, want)
			}
			sameRecord(t, m.Record, tt.record)
		})
	}
}

func sameRecord(t *testing.T, got, want any) {
	t.Helper()
	same := got == nil && want == nil
	switch w := want.(type) {
	case *subjects.Access:
		g, ok := got.(*subjects.Access)
		same = ok && maps.Equal(g.Participants, w.Participants)
	case *subjects.Index:
		g, ok := got.(*subjects.Index)
		same = ok && *g == *w
	case *subjects.Control:
		g, ok := got.(*subjects.Control)
		same = ok && *g == *w
	}
	if !same {
		t.Errorf("record = %#v, want %#v", got, want)
	}
}

func testReadInOrder(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	first := r.publish("booking.42.access")
	seq := r.publish("booking.42.status", "fabric.position", "user.u_7.booking.42", "booking.42.a.b.c", "user.u_7.notification")
	v := r.reach(seq)

	msgs, at, ok := r.Feed.Read(v.Gen, first-1, make([]*hub.Message, 0, 100))
	if want := []uint64{first, first + 1, first + 2, first + 3, first + 4, first + 5}; !ok || !slices.Equal(seqs(msgs), want) {
		t.Fatalf("Read behind %d = %v, %v, want %v", first-1, seqs(msgs), ok, want)
	}
	if at.Gen != v.Gen || at.Last < seq {
		t.Errorf("Read returns the view %+v, want that of generation %d at %d", at, v.Gen, seq)
	}
	msgs, _, ok = r.Feed.Read(v.Gen, first-1, make([]*hub.Message, 1, 3))
	if !ok || len(msgs) != 3 || msgs[1].Seq != first || msgs[2].Seq != first+1 {
		t.Errorf("Read into a buffer with room for two does not append the first two")
	}
	if msgs, _, ok = r.Feed.Read(v.Gen, seq, make([]*hub.Message, 0, 1)); !ok || len(msgs) != 0 {
		t.Errorf("Read at the watermark = %v, %v, want nothing, true", seqs(msgs), ok)
	}
	if _, _, ok = r.Feed.Read(v.Gen+1, first, make([]*hub.Message, 0, 1)); ok {
		t.Error("Read of another generation is ok")
	}
}

// testReadWhilePublish: readers that are woken see every message once, in
// order, whatever they read meanwhile.
func testReadWhilePublish(t *testing.T, setup Setup) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := start(t, setup, Limits{Keep: 1000, RingBytes: 1 << 20, ReplayEvents: 1000, ReplayBytes: 1 << 20})
	first := r.publish("fabric.position")
	const n = 300
	published := make(chan uint64, 1)
	go func() {
		var seq uint64
		for range n {
			seq = r.publish(fmt.Sprintf("booking.%d.status", rnd.IntN(5)))
		}
		published <- seq
	}()
	v := r.reach(first)
	at, end := first, uint64(0)
	buf := make([]*hub.Message, 0, 7)
	for end == 0 || at < end {
		msgs, _, ok := r.Feed.Read(v.Gen, at, buf)
		if !ok {
			t.Fatalf("Read behind %d is not ok, the view is %+v", at, r.Feed.View())
		}
		for _, m := range msgs {
			if m.Seq != at+1 {
				t.Fatalf("sequence %d came behind %d", m.Seq, at)
			}
			at = m.Seq
		}
		if len(msgs) > 0 {
			continue
		}
		select {
		case <-r.wakes:
		case end = <-published:
		case <-time.After(patience):
			t.Fatalf("not woken for %s at %d, the view is %+v", patience, at, r.Feed.View())
		}
	}
	if at != first+n {
		t.Errorf("read up to %d, want %d", at, first+n)
	}
}

func testRoom(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	access := r.publish("booking.42.access")
	created := r.publish("booking.42.status")
	r.publish("booking.77.status")
	index := r.publish("user.u_7.booking.42")
	note := r.publish("user.u_7.notification")
	moved := r.publish("booking.42.moved")
	r.publish("booking.4.status", "booking.421.status", "user.u_77.notification")
	logout := r.publish("user.u_7.control")
	last := r.publish("booking.42.status")
	v := r.reach(last)
	for _, tt := range []struct {
		name        string
		room        subjects.Room
		after, upTo uint64
		want        []uint64
	}{
		{"all", room42, access - 1, last, []uint64{last, moved, created, access}},
		{"after is exclusive, upTo inclusive", room42, access, moved, []uint64{moved, created}},
		{"nothing in between", room42, moved, last - 1, nil},
		{"records of a user", user7, access - 1, last, []uint64{logout, note, index}},
		{"unknown room", "booking.nobody", access - 1, last, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			msgs, ok := r.Feed.Room(v.Gen, tt.room, tt.after, tt.upTo, nil)
			if !ok || !slices.Equal(seqs(msgs), tt.want) {
				t.Errorf("Room(%s, %d, %d) = %v, %v, want %v", tt.room, tt.after, tt.upTo, seqs(msgs), ok, tt.want)
			}
		})
	}
	if msgs, _ := r.Feed.Room(v.Gen, room42, moved, last, make([]*hub.Message, 2)); len(msgs) != 3 || msgs[2].Seq != last {
		t.Errorf("Room does not append to the buffer: %d messages, want 3", len(msgs))
	}
	if _, ok := r.Feed.Room(v.Gen+1, room42, access, last, nil); ok {
		t.Error("Room of another generation is ok")
	}
}

func testRingRunsPast(t *testing.T, setup Setup) {
	const held = 8
	size := (&hub.Message{Data: []byte(`{}`)}).Size()
	r := start(t, setup, Limits{Keep: 1000, RingBytes: held * size, ReplayEvents: 1000, ReplayBytes: 1 << 20})
	first := r.publish("booking.42.status")
	seq := first
	for range 3 * held {
		seq = r.publish("booking.42.status")
		r.reach(seq)
	}
	v := r.reach(seq)
	if v.From <= first || v.From > v.Last || v.Last-v.From+1 > held {
		t.Fatalf("From = %d with Last = %d, want at most %d messages", v.From, v.Last, held)
	}
	if v.ExactFrom > v.From {
		t.Errorf("ExactFrom = %d, want at most From = %d: nothing was missed", v.ExactFrom, v.From)
	}
	if _, _, ok := r.Feed.Read(v.Gen, v.From-2, make([]*hub.Message, 0, 1)); ok {
		t.Error("Read behind From-2 is ok although From-1 is gone")
	}
	if _, ok := r.Feed.Room(v.Gen, room42, v.From-2, v.Last, nil); ok {
		t.Error("Room behind From-2 is ok although From-1 is gone")
	}
	msgs, _, ok := r.Feed.Read(v.Gen, v.From-1, make([]*hub.Message, 0, 3*held))
	if !ok || uint64(len(msgs)) != v.Last-v.From+1 {
		t.Errorf("Read behind From-1 = %v, %v, want %d to %d", seqs(msgs), ok, v.From, v.Last)
	}
	if msgs, ok := r.Feed.Room(v.Gen, room42, v.From-1, v.Last, nil); !ok || uint64(len(msgs)) != v.Last-v.From+1 {
		t.Errorf("Room behind From-1 = %v, %v, want %d to %d", seqs(msgs), ok, v.From, v.Last)
	}
}

func testAgrees(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	seq := r.publish("booking.42.status", "booking.42.status", "booking.42.status")
	v := r.reach(seq)
	msgs, _, _ := r.Feed.Read(v.Gen, seq-2, make([]*hub.Message, 0, 1))
	if len(msgs) != 1 {
		t.Fatalf("Read behind %d returns nothing", seq-2)
	}
	for _, tt := range []struct {
		name       string
		gen        uint64
		seq        uint64
		stamp      int64
		wantAgrees bool
	}{
		{"its own time", v.Gen, msgs[0].Seq, msgs[0].Stamp, true},
		{"another time", v.Gen, msgs[0].Seq, msgs[0].Stamp + 1, false},
		{"beyond the ring", v.Gen, v.Last + 100, 1, true},
		{"another generation", v.Gen + 1, msgs[0].Seq, 1, true},
	} {
		if got := r.Feed.Agrees(tt.gen, tt.seq, tt.stamp); got != tt.wantAgrees {
			t.Errorf("%s: Agrees = %v, want %v", tt.name, got, tt.wantAgrees)
		}
	}
}

func testEpoch(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	r.publish("booking.42.access")
	old := r.reach(r.publish("booking.42.status"))
	epoch, seq := r.NewEpoch()
	v := r.await("in the new epoch", func(v hub.View) bool { return v.Ready && v.Epoch == epoch })
	if v.Gen <= old.Gen {
		t.Errorf("generation = %d, want more than %d", v.Gen, old.Gen)
	}
	if v.Settled {
		t.Error("settled before a fabric.position of the new epoch")
	}
	last := r.publish("booking.42.moved")
	v = r.reach(last)
	if v.From > seq+1 || v.ExactFrom > seq+1 {
		t.Errorf("From %d, ExactFrom %d, want what follows the epoch at %d to be exact", v.From, v.ExactFrom, seq)
	}
	msgs, _, ok := r.Feed.Read(v.Gen, seq, make([]*hub.Message, 0, 10))
	if !ok || !slices.Equal(seqs(msgs), []uint64{last}) || msgs[0].Epoch != epoch {
		t.Errorf("Read behind the epoch = %v, %v, want %d of epoch %s", seqs(msgs), ok, last, epoch)
	}

	if _, _, ok := r.Feed.Read(old.Gen, old.Last, make([]*hub.Message, 0, 1)); ok {
		t.Error("Read of the old generation is ok")
	}
	if _, err := r.Feed.End(r.ctx, old.Gen); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("End of the old generation = %v, want %v", err, hub.ErrGeneration)
	}
	if _, err := r.History.Fetch(r.ctx, old.Gen, []hub.Ask{{Room: room42}}); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("Fetch of the old generation = %v, want %v", err, hub.ErrGeneration)
	}
	if _, err := r.History.Index(r.ctx, old.Gen, "u_7"); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("Index of the old generation = %v, want %v", err, hub.ErrGeneration)
	}
	if _, _, err := r.History.Stored(r.ctx, old.Gen, room42, 0, 1); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("Stored of the old generation = %v, want %v", err, hub.ErrGeneration)
	}
	found := r.fetch(hub.Ask{Room: room42, Fresh: true}).Rooms[0]
	if found.Grant == nil || len(found.Last) != 2 {
		t.Errorf("records and last values from before the epoch are gone: grant %v, last %v", found.Grant, seqs(found.Last))
	}
}

func testSettled(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	if v := r.reach(r.publish("booking.42.access")); v.Settled {
		t.Error("settled without a fabric.position")
	}
	if v := r.reach(r.publish("fabric.position")); !v.Settled {
		t.Error("not settled behind a fabric.position")
	}
	epoch, _ := r.NewEpoch()
	if v := r.await("in the new epoch", func(v hub.View) bool { return v.Epoch == epoch }); v.Settled {
		t.Error("settled by the position of the old epoch")
	}
	if v := r.reach(r.publish("fabric.position")); !v.Settled {
		t.Error("not settled behind the position of the new epoch")
	}
}

func testEnd(t *testing.T, setup Setup) {
	r := start(t, setup, roomy)
	gen := r.Feed.View().Gen
	for range 3 {
		seq := r.publish("booking.42.status")
		if got, err := r.Feed.End(r.ctx, gen); err != nil || got < seq {
			t.Errorf("End = %d, %v, want at least %d", got, err, seq)
		}
	}
	if _, err := r.Feed.End(r.ctx, gen+1); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("End of another generation = %v, want %v", err, hub.ErrGeneration)
	}
}
