package pgoutput_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// fake is a server that does what no PostgreSQL in the tests would. It runs
// script once the client has begun to stream.
type fake struct {
	version string
	script  func(*pgproto3.Backend, net.Conn) error
	// tls is nil for a server without.
	tls *tls.Config

	address *net.TCPAddr
	served  sync.WaitGroup

	mu      sync.Mutex
	queries []string
	err     error
}

// run serves one client.
func (f *fake) run(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().(*net.TCPAddr)
	f.served.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if err := f.serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.err = err
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.served.Wait()
		if f.err != nil {
			t.Errorf("fake server: %v", f.err)
		}
	})
}

func (f *fake) serve(conn net.Conn) error {
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return err
	}
	if f.tls != nil { // that was the request for it
		if _, err := conn.Write([]byte{'S'}); err != nil {
			return err
		}
		conn = tls.Server(conn, f.tls)
		b = pgproto3.NewBackend(conn, conn)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return err
		}
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: f.version})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for {
		if err := b.Flush(); err != nil {
			return err
		}
		m, err := b.Receive()
		if err != nil {
			return err
		}
		query, ok := m.(*pgproto3.Query)
		if !ok {
			return nil // Terminate
		}
		f.mu.Lock()
		f.queries = append(f.queries, query.String)
		f.mu.Unlock()
		switch {
		case strings.HasPrefix(query.String, "CREATE"):
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("slot_name")}, {Name: []byte("consistent_point")}, {Name: []byte("snapshot_name")}}})
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("s"), []byte("0/1"), []byte("1-1")}})
		case strings.HasPrefix(query.String, "START"):
			b.Send(&pgproto3.CopyBothResponse{})
			if err := b.Flush(); err != nil {
				return err
			}
			return f.script(b, conn)
		}
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("OK")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queries
}

func (f *fake) connect(t testing.TB, opts pgoutput.Options) *pgoutput.Conn {
	t.Helper()
	mode := "disable"
	if f.tls != nil {
		mode = "require"
	}
	config, err := pgconn.ParseConfig(fmt.Sprintf("postgres://u@127.0.0.1:%d/d?sslmode=%s", f.address.Port, mode))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgoutput.Connect(t.Context(), config, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func (f *fake) stream(t testing.TB, opts pgoutput.Options) *pgoutput.Stream {
	t.Helper()
	s, err := f.connect(t, opts).Start(t.Context(), "s", "p", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The messages of the copy, as the server frames them.

func xlogData(at pgoutput.LSN, data []byte) []byte {
	return append(number64(number64(number64([]byte{'w'}, at), at), 0), data...)
}

func keepalive(end pgoutput.LSN, reply bool) []byte {
	return append(number64(number64([]byte{'k'}, end), 0), flag01(reply))
}

// status is a standby status update.
type status struct {
	written, flushed, applied pgoutput.LSN
	reply                     bool
}

// nextStatus receives one.
func nextStatus(b *pgproto3.Backend) (status, error) {
	m, err := b.Receive()
	if err != nil {
		return status{}, err
	}
	copied, ok := m.(*pgproto3.CopyData)
	if !ok || len(copied.Data) != 34 || copied.Data[0] != 'r' {
		return status{}, fmt.Errorf("%#v is no status", m)
	}
	lsn := func(at int) pgoutput.LSN { return pgoutput.LSN(binary.BigEndian.Uint64(copied.Data[at:])) }
	sent := int64(lsn(25)) + time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	if off := time.Since(time.UnixMicro(sent)).Abs(); off > time.Minute {
		return status{}, fmt.Errorf("the status's clock is %s off", off)
	}
	return status{lsn(1), lsn(9), lsn(17), copied.Data[33] != 0}, nil
}

// send sends pieces of the copy.
func send(b *pgproto3.Backend, pieces ...[]byte) error {
	for _, p := range pieces {
		b.Send(&pgproto3.CopyData{Data: p})
	}
	return b.Flush()
}

// endOfCopy is what a server sends when the client ends the copy.
func endOfCopy(b *pgproto3.Backend) error {
	b.Send(&pgproto3.CopyDone{})
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("COPY 0")})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return b.Flush()
}
