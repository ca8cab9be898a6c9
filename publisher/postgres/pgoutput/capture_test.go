package pgoutput_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

var update = flag.Bool("update", false, "write testdata/*.hex from the servers")

// shop is what the files in testdata hold the log of, one transaction after the
// other.
var shop = []string{
	`INSERT INTO bookings VALUES (1, 'pending', 'Ä note', true, '2026-11-22 19:27:47.5+00')`,
	`UPDATE bookings SET status = 'confirmed'`,
	`BEGIN; UPDATE bookings SET note = NULL; UPDATE bookings SET id = 2; COMMIT`,
	`INSERT INTO services VALUES ('s1', 'p1'); INSERT INTO services VALUES ('s2', 'p1')`,
	`UPDATE services SET provider = 'p2'`,
	`ALTER TABLE bookings RENAME note TO "Note"`,
	`UPDATE bookings SET "Note" = repeat('x', 9000)`,
	`UPDATE bookings SET status = 'cancelled'`,
	`DELETE FROM services WHERE id = 's1'`,
	`DELETE FROM bookings`,
	`TRUNCATE bookings, services RESTART IDENTITY CASCADE`,
}

// capture returns the messages that a server makes of shop.
func capture(t *testing.T, db *pgtest.Database) [][]byte {
	t.Helper()
	db.Exec(t, `CREATE TYPE booking_status AS ENUM ('pending', 'confirmed', 'cancelled');
		CREATE TABLE bookings (id bigint PRIMARY KEY, status booking_status, note text, paid bool, updated_at timestamptz);
		ALTER TABLE bookings ALTER note SET STORAGE EXTERNAL;
		CREATE TABLE services (id varchar(20) PRIMARY KEY, provider text);
		ALTER TABLE services REPLICA IDENTITY FULL;
		CREATE PUBLICATION p FOR ALL TABLES;
		SET timezone = 'UTC'`)
	db.Exec(t, `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, "of_"+db.Name)
	for _, sql := range shop {
		db.Exec(t, sql)
	}
	rows, err := db.Conn(t).Query(t.Context(), `SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL,
		'proto_version', '1', 'publication_names', 'p')`, "of_"+db.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var messages [][]byte
	for rows.Next() {
		var m []byte
		if err := rows.Scan(&m); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return messages
}

// captured is a file of testdata, a message per line.
func captured(t testing.TB, name string) [][]byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var messages [][]byte
	for scanner := bufio.NewScanner(bytes.NewReader(file)); scanner.Scan(); {
		m, err := hex.DecodeString(scanner.Text())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		messages = append(messages, m)
	}
	return messages
}

// texts decodes messages.
func texts(t testing.TB, messages [][]byte) []string {
	t.Helper()
	var lines []string
	var d pgoutput.Decoder
	for i, data := range messages {
		m, err := d.Decode(data)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		switch m.(type) {
		case *pgoutput.Begin, *pgoutput.Commit: // times and places differ
		default:
			lines = append(lines, text(m))
		}
	}
	return lines
}

// What the tests and benchmarks of the decoder use is what servers really send.
func TestCaptured(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		name := fmt.Sprintf("postgresql-%d.hex", version(t, db))
		messages := capture(t, db)
		if *update {
			var file bytes.Buffer
			for _, m := range messages {
				fmt.Fprintf(&file, "%x\n", m)
			}
			if err := os.WriteFile(filepath.Join("testdata", name), file.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, texts(t, captured(t, name)), texts(t, messages))
	})
}
