package pgoutput_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// Servers before 15 have another syntax, and before 14 fewer settings.
func TestOldServer(t *testing.T) {
	for version, want := range map[string][]string{
		"13.22": {`CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput EXPORT_SNAPSHOT`},
		"14.19": {`SET idle_session_timeout = 0`, `CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput EXPORT_SNAPSHOT`},
	} {
		f := &fake{version: version}
		f.run(t)
		slot, err := f.connect(t, pgoutput.Options{}).CreateSlot(t.Context(), "s", false)
		if err != nil || slot != (pgoutput.Slot{Name: "s", Start: 1, Snapshot: "1-1"}) {
			t.Errorf("CreateSlot = %+v, %v", slot, err)
		}
		compare(t, f.asked(), want)
	}
}

// A status that is asked for goes out at once. It tells what was received; what
// was confirmed it tells once, and then leaves open how much was flushed.
func TestStatus(t *testing.T) {
	var got []status
	f := &fake{version: "17.0", script: func(b *pgproto3.Backend, _ net.Conn) error {
		for i := range 3 {
			if err := send(b, keepalive(pgoutput.LSN(100+i), true)); err != nil {
				return err
			}
			for range []int{1, 2, 1}[i] {
				s, err := nextStatus(b)
				if err != nil {
					return err
				}
				got = append(got, s)
			}
		}
		if err := send(b, keepalive(200, false)); err != nil {
			return err
		}
		s, err := nextStatus(b) // of Close
		if err != nil {
			return err
		}
		got = append(got, s)
		if m, err := b.Receive(); err != nil {
			return err
		} else if _, ok := m.(*pgproto3.CopyDone); !ok {
			return fmt.Errorf("%T, want the end of the copy", m)
		}
		return endOfCopy(b)
	}}
	f.run(t)
	s := f.stream(t, pgoutput.Options{Timeout: time.Hour}) // no status but those asked for
	for i := range 4 {
		m, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if want := []pgoutput.LSN{100, 101, 102, 200}[i]; m.(*pgoutput.Keepalive).End != want {
			t.Errorf("keepalive %s, want %s", m.(*pgoutput.Keepalive).End, want)
		}
		if i == 0 {
			s.Confirm(50)
			s.Confirm(40)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	f.served.Wait()
	// Confirm may come before the first status or behind it.
	want := []status{{written: 100}, {101, 50, 50, false}, {written: 101}, {written: 102}, {written: 200}}
	if len(got) == len(want) && got[0].flushed == 50 {
		want = []status{{100, 50, 50, false}, {written: 100}, {written: 101}, {written: 102}, {written: 200}}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("statuses %+v, want %+v", got, want)
	}
}

// Whatever a server sends that does not belong there ends the stream with an
// error that says what it was; what is harmless is skipped.
func TestWrongMessages(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(*pgproto3.Backend, net.Conn) error
		want string
	}{
		{"empty", func(b *pgproto3.Backend, _ net.Conn) error { return send(b, nil) },
			"stream, slot s: 0 bytes that are neither XLogData nor a keepalive"},
		{"short", func(b *pgproto3.Backend, _ net.Conn) error { return send(b, []byte("w1234567")) },
			"stream, slot s: 8 bytes that are neither XLogData nor a keepalive"},
		{"no message", func(b *pgproto3.Backend, _ net.Conn) error { return send(b, xlogData(1, nil)) },
			"stream, slot s: pgoutput: empty message, byte 0 of 0: want a message type"},
		{"row", func(b *pgproto3.Backend, _ net.Conn) error {
			b.Send(&pgproto3.NoticeResponse{Message: "skipped"})
			b.Send(&pgproto3.ParameterStatus{Name: "skipped", Value: "too"})
			b.Send(&pgproto3.DataRow{})
			return b.Flush()
		}, "stream, slot s: the server sends *pgproto3.DataRow in a copy"},
		{"length", func(_ *pgproto3.Backend, conn net.Conn) error {
			_, err := conn.Write([]byte{'d', 0xff, 0xff, 0xff, 0xff})
			return err
		}, "stream, slot s: invalid message length: -1"},
		{"end", func(b *pgproto3.Backend, _ net.Conn) error { return endOfCopy(b) },
			"stream, slot s: the server ended the stream, as it is shutting down"},
		{"nothing more", func(_ *pgproto3.Backend, conn net.Conn) error { return conn.Close() },
			"stream, slot s: unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{version: "15.0", script: func(b *pgproto3.Backend, conn net.Conn) error {
				if err := test.send(b, conn); err != nil {
					return err
				}
				for {
					m, err := b.Receive()
					if err != nil {
						return nil // conn was closed here
					}
					if _, ok := m.(*pgproto3.CopyDone); ok {
						return endOfCopy(b)
					}
				}
			}}
			f.run(t)
			s := f.stream(t, pgoutput.Options{})
			for range 2 {
				if m, err := s.Receive(); m != nil || err == nil || err.Error() != test.want {
					t.Errorf("Receive = %v, %v; want %s", m, err, test.want)
				}
			}
			s.Close()
		})
	}
}

// A read over TLS that the context interrupted, in the middle of a message, can
// be taken up again: so the copy is ended in good order there too.
func TestTLS(t *testing.T) {
	var last status
	f := &fake{version: "17.0", tls: selfSigned(t), script: func(b *pgproto3.Backend, conn net.Conn) error {
		message := frame(nil, keepalive(7, false))
		whole := frame(nil, keepalive(5, false))
		if _, err := conn.Write(append(whole, message[:10]...)); err != nil {
			return err
		}
		for {
			m, err := b.Receive()
			if err != nil {
				return err
			}
			switch m := m.(type) {
			case *pgproto3.CopyData:
				last.flushed = max(last.flushed, pgoutput.LSN(binary.BigEndian.Uint64(m.Data[9:])))
			case *pgproto3.CopyDone:
				if _, err := conn.Write(message[10:]); err != nil {
					return err
				}
				return endOfCopy(b)
			}
		}
	}}
	f.run(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := f.connect(t, pgoutput.Options{}).Start(ctx, "s", "p", 1)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Receive(); err != nil || m.(*pgoutput.Keepalive).End != 5 {
		t.Fatalf("Receive = %v, %v", m, err)
	}
	s.Confirm(3)
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Receive(); err != context.Canceled {
		t.Errorf("Receive = %v, want %v", err, context.Canceled)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	f.served.Wait()
	if last.flushed != 3 {
		t.Errorf("confirmed up to %s, want 0/3", last.flushed)
	}
}

// selfSigned makes a server's certificate.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
}

// BenchmarkReceive receives small transactions over a loopback connection: an
// update between Begin and Commit.
func BenchmarkReceive(b *testing.B) {
	var page []byte
	for _, data := range [][]byte{
		encode(&pgoutput.Begin{Commit: 1, Time: time.Now()}),
		[]byte("U\x00\x00\x00\x01N\x00\x02t\x00\x00\x00\x02b1t\x00\x00\x00\x09confirmed"),
		encode(&pgoutput.Commit{LSN: 1, End: 2, Time: time.Now()}),
	} {
		page = frame(page, xlogData(1, data))
	}
	page = []byte(strings.Repeat(string(page), 8192/len(page)))
	f := &fake{version: "15.0", script: func(backend *pgproto3.Backend, conn net.Conn) error {
		_, err := conn.Write(frame(nil, xlogData(1, bookings)))
		for err == nil {
			_, err = conn.Write(page)
		}
		return nil
	}}
	f.run(b)
	s := f.stream(b, pgoutput.Options{})
	b.ReportAllocs()
	for b.Loop() {
		for {
			m, err := s.Receive()
			if err != nil {
				b.Fatal(err)
			}
			if _, ok := m.(*pgoutput.Commit); ok {
				break
			}
		}
	}
}

// frame is a CopyData message.
func frame(page, data []byte) []byte {
	return append(number32(append(page, 'd'), uint32(4+len(data))), data...)
}
