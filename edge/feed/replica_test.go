package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// replica stands between a feed and the stream's direct get and answers as a
// replica can that lags, or over a connection that drops frames.
type replica struct {
	t  *testing.T
	nc *nats.Conn

	mu sync.Mutex
	// behave tells, for each question in turn, how it is answered.
	behave func(n int, q question) answer
	asked  []question
}

type question struct {
	Seq       uint64   `json:"seq"`
	NextFor   string   `json:"next_by_subj"`
	MultiLast []string `json:"multi_last"`
	Batch     int      `json:"batch"`
	MaxBytes  int      `json:"max_bytes"`
}

// answer says what becomes of the stream's own answer.
type answer struct {
	// end is where the replica's copy of the stream ends; 0 = it is up to date.
	end uint64
	// drop loses this frame, counted from 1.
	drop int
	// silent: there is no answer at all.
	silent bool
	// status replaces the answer.
	status string
}

const replicaSubject = "replica.of.the.test"

func playReplica(t *testing.T, r *rig, f *feed.Feed, behave func(n int, q question) answer) *replica {
	t.Helper()
	p := &replica{t: t, nc: r.ns.Conn(t), behave: behave}
	sub, err := p.nc.Subscribe(replicaSubject, p.serve)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	f.AskInstead(replicaSubject)
	return p
}

func (p *replica) serve(m *nats.Msg) {
	var q question
	if err := json.Unmarshal(m.Data, &q); err != nil {
		p.t.Error(err)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, q)
	a := p.behave(len(p.asked), q)
	p.mu.Unlock()
	if a.silent {
		return
	}
	if a.status != "" {
		p.status(m.Reply, a.status, nil)
		return
	}
	body := m.Data
	if len(q.MultiLast) > 0 && a.end > 0 {
		// The stream itself can answer this as of an earlier sequence.
		body = fmt.Appendf(nil, `%s,"up_to_seq":%d}`, bytes.TrimSuffix(m.Data, []byte("}")), a.end)
	}
	frames, end := p.real(body)
	p.relay(m.Reply, a, frames, end)
}

// real asks the stream.
func (p *replica) real(body []byte) (frames []*nats.Msg, end *nats.Msg) {
	inbox := p.nc.NewInbox()
	sub, err := p.nc.SubscribeSync(inbox)
	if err != nil {
		p.t.Error(err)
		return nil, nil
	}
	defer sub.Unsubscribe()
	if err := p.nc.PublishRequest("$JS.API.DIRECT.GET."+streamName, inbox, body); err != nil {
		p.t.Error(err)
		return nil, nil
	}
	for {
		m, err := sub.NextMsg(patience)
		if err != nil {
			p.t.Error(err)
			return nil, nil
		}
		if m.Header.Get("Nats-Sequence") == "" {
			return frames, m
		}
		frames = append(frames, m)
	}
}

// relay sends the frames on, as far as the copy of the stream reaches.
func (p *replica) relay(reply string, a answer, frames []*nats.Msg, end *nats.Msg) {
	sent, before, pending := 0, "0", end.Header.Get("Nats-Num-Pending")
	for i, m := range frames {
		seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if a.end > 0 && seq > a.end {
			pending = "0"
			break
		}
		sent, before = sent+1, m.Header.Get("Nats-Sequence")
		if i+1 == a.drop {
			continue
		}
		out := nats.NewMsg(reply)
		out.Header, out.Data = m.Header, m.Data
		if err := p.nc.PublishMsg(out); err != nil {
			p.t.Error(err)
		}
	}
	if sent == 0 {
		p.status(reply, "404", nil)
		return
	}
	hdr := nats.Header{"Nats-Last-Sequence": {before}, "Nats-Num-Pending": {pending}}
	if upTo := end.Header.Get("Nats-UpTo-Sequence"); upTo != "" {
		hdr.Set("Nats-UpTo-Sequence", upTo)
	}
	p.status(reply, "204", hdr)
}

func (p *replica) status(reply, status string, hdr nats.Header) {
	out := nats.NewMsg(reply)
	for k, v := range hdr {
		out.Header[k] = v
	}
	out.Header.Set("Status", status)
	if err := p.nc.PublishMsg(out); err != nil {
		p.t.Error(err)
	}
}

// TestReplicas: whatever one replica answers, the result is right or torn.
func TestReplicas(t *testing.T) {
	// The stream: epoch 1, then 2..21 in booking.42, then 22 elsewhere.
	const since, end = 5, 21
	all := make([]uint64, 0, end-since)
	for seq := uint64(since + 1); seq <= end; seq++ {
		all = append(all, seq)
	}
	multi := func(q question) bool { return len(q.MultiLast) > 0 }
	for _, tt := range []struct {
		name   string
		behave func(n int, q question) answer
		newer  []uint64
		torn   bool
		upTo   uint64
	}{
		{
			name:   "up to date",
			behave: func(int, question) answer { return answer{} },
			newer:  all, upTo: end + 1,
		},
		{
			name: "the first page lags twice",
			behave: func(n int, q question) answer {
				if !multi(q) && n <= 3 {
					return answer{end: 10}
				}
				return answer{}
			},
			newer: all, upTo: end + 1,
		},
		{
			name: "the replica has nothing of it yet",
			behave: func(n int, q question) answer {
				if !multi(q) && n == 2 {
					return answer{end: since}
				}
				return answer{}
			},
			newer: all, upTo: end + 1,
		},
		{
			name: "lags for ever",
			behave: func(_ int, q question) answer {
				if !multi(q) {
					return answer{end: 10}
				}
				return answer{}
			},
			newer: all[:5], torn: true, upTo: end + 1,
		},
		{
			name: "the last values lag, the messages do not",
			behave: func(_ int, q question) answer {
				if multi(q) {
					return answer{end: 21}
				}
				return answer{}
			},
			newer: all, upTo: 21,
		},
		{
			name: "a frame is lost",
			behave: func(n int, q question) answer {
				if n <= 4 {
					return answer{drop: n}
				}
				return answer{}
			},
			newer: all, upTo: end + 1,
		},
		{
			name: "the last frame is lost",
			behave: func(n int, q question) answer {
				if !multi(q) && n == 2 {
					return answer{drop: end - since}
				}
				return answer{}
			},
			newer: all, upTo: end + 1,
		},
		{
			name: "no answer, no stream, no luck",
			behave: func(n int, q question) answer {
				switch n {
				case 1:
					return answer{status: "408"}
				case 2:
					return answer{status: "404"}
				case 3:
					return answer{silent: true}
				}
				return answer{}
			},
			newer: all, upTo: end + 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := prepare(t, 100)
			r.publishMany(t, 20, func(int) string { return "booking.42.status" }, `{}`)
			last := r.publish(t, "booking.77.status", `{}`)
			f := r.running(t)
			v := reach(t, f, last)
			p := playReplica(t, r, f, tt.behave)
			a := fetch(t, f, v.Gen, hub.Ask{Room: "booking.42", Since: since})
			found := a.Rooms[0]
			if got := events(found.Newer); !slices.Equal(got, tt.newer) || found.Torn != tt.torn || a.UpTo != tt.upTo {
				t.Errorf("newer %v, torn %v up to %d, want %v, %v, %d", got, found.Torn, a.UpTo, tt.newer, tt.torn, tt.upTo)
			}
			for _, q := range p.asked {
				if !multi(q) && q.Batch <= 100*2 {
					t.Errorf("asked for a batch of %d, want more than keep for each subject", q.Batch)
				}
			}
		})
	}
}

// TestAnswerIsAsOfTheOldestChunk: several replicas answer for one Fetch.
func TestAnswerIsAsOfTheOldestChunk(t *testing.T) {
	r := prepare(t, 100)
	end := r.publishMany(t, 600, status, `{}`)
	f := r.running(t)
	v := reach(t, f, end)
	playReplica(t, r, f, func(n int, _ question) answer {
		if n == 2 {
			return answer{end: end - 100}
		}
		return answer{}
	})
	var asks []hub.Ask
	for i := range 600 {
		asks = append(asks, hub.Ask{Room: subjects.Room(fmt.Sprintf("booking.%d", i)), Fresh: true})
	}
	if a := fetch(t, f, v.Gen, asks...); a.UpTo != end-100 {
		t.Errorf("UpTo = %d, want %d", a.UpTo, end-100)
	}
}

// TestReplicaOfAnotherEpoch: what a replica says that has not seen the epoch
// is never taken for an answer.
func TestReplicaOfAnotherEpoch(t *testing.T) {
	r := prepare(t, 100)
	r.publish(t, "booking.42.status", `{"old":true}`)
	f := r.running(t)
	_, seq := r.newEpoch(t)
	v := reach(t, f, seq)
	r.publish(t, "booking.42.status", `{"new":true}`)
	var mu sync.Mutex
	lag := seq - 1
	playReplica(t, r, f, func(int, question) answer {
		mu.Lock()
		defer mu.Unlock()
		return answer{end: lag}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := f.Fetch(ctx, v.Gen, []hub.Ask{{Room: "booking.42", Fresh: true}}); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("Fetch = %v, want %v", err, hub.ErrUnavailable)
	}
	mu.Lock()
	lag = 0
	mu.Unlock()
	a := fetch(t, f, v.Gen, hub.Ask{Room: "booking.42", Fresh: true})
	if len(a.Rooms[0].Last) != 1 || !strings.Contains(string(a.Rooms[0].Last[0].Data), "new") {
		t.Errorf("last = %v, want the new value", a.Rooms[0].Last)
	}
}

// TestIndexFromALaggingReplica: pages that do not reach the leader's newest
// record are read again.
func TestIndexFromALaggingReplica(t *testing.T) {
	r := prepare(t, 4)
	const n = 1200
	end := r.publishMany(t, n, func(i int) string { return fmt.Sprintf("user.u_7.booking.b%d", i) }, `{"open":true}`)
	f := r.running(t)
	v := reach(t, f, end)
	pages := 0
	playReplica(t, r, f, func(_ int, q question) answer {
		if len(q.MultiLast) > 0 {
			return answer{status: "413"}
		}
		if pages++; pages <= 3 {
			return answer{end: end - 1}
		}
		return answer{}
	})
	a, err := f.Index(t.Context(), v.Gen, "u_7")
	if err != nil || len(a.Records) != n || a.UpTo != end {
		t.Errorf("%d records up to %d, %v, want %d up to %d", len(a.Records), a.UpTo, err, n, end)
	}
}
