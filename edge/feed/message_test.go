package feed

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects"
)

func FuzzMessage(f *testing.F) {
	f.Add("booking.42.status", "2026-11-22T10:30:00.123Z", []byte(`{"status":"confirmed"}`))
	f.Add("booking.42.access", "", []byte(`{"participants":{"u_7":"customer"}}`))
	f.Add("user.u_7.booking.42", "yesterday", []byte(`{"open":1}`))
	f.Add("user.u_7.control", "", []byte(`{"notBefore":1e99}`))
	f.Add("fabric.epoch", "", []byte(`{"epoch":"e","retention":"soon"}`))
	f.Add("fabric.position", "", []byte(`1-5`))
	f.Add("booking..access", "", []byte(nil))
	d := newDecoder(subjects.Kinds{"booking"}, slog.New(slog.DiscardHandler))
	at := time.Unix(1_795_000_000, 123_456_789)
	f.Fuzz(func(t *testing.T, subject, when string, data []byte) {
		m := d.message("e", stored{subject: subject, seq: 7, at: at, header: nats.Header{subjects.TimeHeader: {when}}, data: data})
		if m.Seq != 7 || m.Stamp != at.UnixMicro() || m.Epoch != "e" || m.Time.IsZero() && !strings.HasPrefix(when, "0001") {
			t.Errorf("message = %d at %d, time %s", m.Seq, m.Stamp, m.Time)
		}
		ok := m.Record == nil
		switch m.Name.Class {
		case subjects.Grant:
			_, ok = m.Record.(*subjects.Access)
		case subjects.Indexed:
			_, ok = m.Record.(*subjects.Index)
		case subjects.Logout:
			_, ok = m.Record.(*subjects.Control)
		case subjects.NewEpoch:
			_, ok = m.Record.(*subjects.Epoch)
		case subjects.Event:
			ok = ok && string(m.Data) == string(data)
		default:
			ok = ok && m.Data == nil && m.Name.Room == ""
		}
		if !ok {
			t.Errorf("class %d with record %T and data %q", m.Name.Class, m.Record, m.Data)
		}
	})
}

// TestComplainsOncePerSubject: edges read a bad record again and again.
func TestComplainsOncePerSubject(t *testing.T) {
	var log strings.Builder
	d := newDecoder(subjects.Kinds{"booking"}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		for _, subject := range []string{"booking.1.access", "booking.2.access"} {
			d.message("e", stored{subject: subject, data: []byte("{")})
		}
		d.message("e", stored{subject: "booking.3.access"})                       // empty on purpose
		d.message("e", stored{subject: "booking.4.status", data: []byte("{")})    // not ours to judge
		d.message("e", stored{subject: "fabric.position", data: []byte("\x00{")}) // nor this
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d complaints, want one for each of 2 subjects:\n%s", n, &log)
	}
}

func BenchmarkMessage(b *testing.B) {
	d := newDecoder(subjects.Kinds{"booking"}, slog.New(slog.DiscardHandler))
	s := stored{
		subject: "booking.0123456789abcdef01234567.status", seq: 7, at: time.Now(),
		header: nats.Header{subjects.TimeHeader: {"2026-11-22T10:30:00.123456Z"}, subjects.PositionHeader: {"petpro=17/0/1;map=9f3c"}},
		data:   []byte(strings.Repeat("x", 200)),
	}
	b.ReportAllocs()
	for b.Loop() {
		d.message("e", s)
	}
}
