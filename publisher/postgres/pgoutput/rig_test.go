package pgoutput_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// versions runs a test on each server that the tests have.
func versions(t *testing.T, test func(t *testing.T, db *pgtest.Database)) {
	t.Run("15", func(t *testing.T) { t.Parallel(); test(t, pgtest.New(t)) })
	t.Run("17", func(t *testing.T) { t.Parallel(); test(t, pgtest.New(t, pgtest.Version17)) })
}

func connect(t testing.TB, db *pgtest.Database, opts pgoutput.Options) *pgoutput.Conn {
	t.Helper()
	config, err := pgconn.ParseConfig(db.DSN)
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

// prepare makes a publication of all tables, and the slot.
func prepare(t testing.TB, db *pgtest.Database) pgoutput.Slot {
	t.Helper()
	db.Exec(t, `CREATE PUBLICATION `+pgx.Identifier{"It's, \"all\" of " + db.Name}.Sanitize()+` FOR ALL TABLES`)
	conn := connect(t, db, pgoutput.Options{})
	defer conn.Close()
	slot, err := conn.CreateSlot(t.Context(), "of_"+db.Name, false)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// tape streams a database and prints what it receives.
type tape struct {
	*pgoutput.Stream
	t testing.TB
}

func start(ctx context.Context, t testing.TB, db *pgtest.Database, slot pgoutput.Slot, opts pgoutput.Options) tape {
	t.Helper()
	conn := connect(t, db, opts)
	s, err := conn.Start(ctx, slot.Name, "It's, \"all\" of "+db.Name, slot.Start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return tape{s, t}
}

// next returns the next message that is no keepalive.
func (r tape) next() pgoutput.Message {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		m, err := r.Receive()
		if err != nil {
			r.t.Fatal(err)
		}
		if _, ok := m.(*pgoutput.Keepalive); !ok {
			return m
		}
	}
	r.t.Fatalf("nothing came within %s", patience)
	return nil
}

// transaction returns the next one, without Begin and Commit.
func (r tape) transaction() []string {
	r.t.Helper()
	begin, ok := r.next().(*pgoutput.Begin)
	if !ok {
		r.t.Fatalf("a transaction begins with %T", begin)
	}
	lsn := begin.Commit
	var lines []string
	for {
		switch m := r.next().(type) {
		case *pgoutput.Commit:
			if m.LSN != lsn || m.End <= m.LSN {
				r.t.Errorf("Commit{LSN: %s, End: %s} ends the transaction that Begin said commits at %s", m.LSN, m.End, lsn)
			}
			return lines
		default:
			lines = append(lines, text(m))
		}
	}
}

// rows is transaction, of the next one that has any: before 15 those without
// are sent too, if something else was committed in them.
func (r tape) rows() []string {
	r.t.Helper()
	for {
		if lines := r.transaction(); len(lines) > 0 {
			return lines
		}
	}
}

// text of a message, on a line.
func text(m pgoutput.Message) string {
	switch m := m.(type) {
	case *pgoutput.Relation:
		var b strings.Builder
		fmt.Fprintf(&b, "relation %s.%s %c", m.Schema, m.Name, m.Identity)
		for _, c := range m.Columns {
			key := ""
			if c.Key {
				key = "*"
			}
			fmt.Fprintf(&b, " %s%s", c.Name, key)
		}
		return b.String()
	case *pgoutput.Type:
		return "type " + m.Schema + "." + m.Name
	case *pgoutput.Insert:
		return "insert " + m.Relation.Name + " " + row(m.New)
	case *pgoutput.Update:
		if m.Sent == pgoutput.OldNothing {
			return "update " + m.Relation.Name + " " + row(m.New)
		}
		return fmt.Sprintf("update %s %c%s %s", m.Relation.Name, m.Sent, row(m.Old), row(m.New))
	case *pgoutput.Delete:
		return fmt.Sprintf("delete %s %c%s", m.Relation.Name, m.Sent, row(m.Old))
	case *pgoutput.Truncate:
		var names []string
		for _, r := range m.Relations {
			names = append(names, r.Name)
		}
		return fmt.Sprintf("truncate %s cascade=%t restart=%t", strings.Join(names, ","), m.Cascade, m.RestartIdentity)
	case *pgoutput.Origin:
		return "origin " + m.Name
	default:
		return fmt.Sprintf("%T", m)
	}
}

func row(t pgoutput.Tuple) string {
	var values []string
	for _, v := range t {
		switch v.Kind {
		case pgoutput.Omitted:
			values = append(values, "-")
		case pgoutput.Null:
			values = append(values, "null")
		case pgoutput.Unchanged:
			values = append(values, "unchanged")
		case pgoutput.Text:
			if len(v.Data) > 40 {
				values = append(values, fmt.Sprintf("%d bytes", len(v.Data)))
			} else {
				values = append(values, string(v.Data))
			}
		}
	}
	return "(" + strings.Join(values, " ") + ")"
}

// wantError checks phase and SQLSTATE.
func wantError(t testing.TB, err error, phase pgoutput.Phase, sqlstate string) {
	t.Helper()
	e, ok := errors.AsType[*pgoutput.Error](err)
	if !ok || e.Phase != phase || e.SQLState() != sqlstate {
		t.Errorf("error %v, want one of phase %q with SQLSTATE %q", err, phase, sqlstate)
	}
}

// eventually waits until a query answers true.
func eventually(t testing.TB, db *pgtest.Database, query string, args ...any) {
	t.Helper()
	conn := db.Conn(t)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var ok bool
		if err := conn.QueryRow(t.Context(), query, args...).Scan(&ok); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not true within %s", query, patience)
		}
	}
}
