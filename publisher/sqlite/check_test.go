package sqlite_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sqlite"
)

func checkErr(t *testing.T, path string, m publisher.Mapping) error {
	t.Helper()
	return sqlite.New("shop", publisher.SQLiteConfig{Path: path}, m, slog.New(slog.DiscardHandler)).Check(t.Context())
}

// wantSentence checks that err says each of the words.
func wantSentence(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database, but long enough to be one. ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		want       []string
	}{
		{"missing", filepath.Join(dir, "none.db"), []string{"none.db does not exist", "create the database first"}},
		{"directory", dir, []string{"is a directory", "must name the database file"}},
		{"no database", text, []string{"text.db is not a SQLite database", "correct sqlite.path"}},
		{"no path", "", []string{"set sqlite.path"}},
		{"device", os.DevNull, []string{"not a regular file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantSentence(t, checkErr(t, tt.path, shopMapping()), append(tt.want, `sqlite source "shop"`)...)
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("Check created the missing file")
	}
}

func TestCheckOddPath(t *testing.T) {
	db := openDatabase(t, filepath.Join(t.TempDir(), "shop.db"), shopSchema)
	db.Close()
	odd := filepath.Join(t.TempDir(), "50% of #1? shop & co.db")
	if err := os.Rename(db.path, odd); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(odd, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{odd, link} {
		if err := checkErr(t, path, shopMapping()); err != nil {
			t.Errorf("Check of %s: %v", path, err)
		}
	}
}

func TestCheckLocked(t *testing.T) {
	db := newDatabase(t, shopSchema, "journal_mode(WAL)")
	db.exec("BEGIN IMMEDIATE")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := sqlite.New("shop", db.config(), shopMapping(), slog.New(slog.DiscardHandler))
	if err := src.Check(ctx); err == nil {
		t.Fatal("Check succeeds with a context that ended")
	}
	wantSentence(t, src.Check(t.Context()), "is locked by another program", "end its transaction")
	db.exec("COMMIT")
	if err := src.Check(t.Context()); err != nil {
		t.Errorf("Check after the lock was released: %v", err)
	}
}

func TestCheckMapping(t *testing.T) {
	db := newDatabase(t, shopSchema+"CREATE VIEW open_bookings AS SELECT id FROM bookings; CREATE VIRTUAL TABLE words USING fts5(word);")
	m := shopMapping()
	bookings := m.Tables["bookings"]
	bookings.Columns = append(bookings.Columns, "customer_id", "vendor_id")
	bookings.Access.Participants["{services[provider].provider_id}"] = "helper"
	m.Tables["bookings"] = bookings
	m.Tables["appointments"] = publisher.Table{Key: "id"}
	m.Tables["open_bookings"] = publisher.Table{Key: "id"}
	m.Tables["words"] = publisher.Table{Key: "word"}
	m.Tables["services"] = publisher.Table{Key: "title"}
	m.Tables["fabric_changes"] = publisher.Table{Key: "id"}
	err := checkErr(t, db.path, m)
	wantSentence(t, err,
		`table "bookings" has no column "customer_id", only id, user_id, service_id, status, updated_at, deleted_at, staff_notes`,
		`no column "vendor_id"`,
		`no table "appointments", only bookings, services`,
		`"open_bookings" is a view`,
		`"words" is a virtual`,
		`table "services" has the key "title" in tables and "id" in follow`,
		`column "title" of table "services" is not unique`,
		`services[provider] looks for a column that table "bookings" has not`,
	)
	if !strings.Contains(err.Error(), publisher.ErrHalt.Error()) {
		t.Errorf("Check = %v, want ErrHalt in it", err)
	}
	if n := db.value("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"); n != "0" {
		t.Errorf("%s triggers were made for a mapping that does not fit", n)
	}
}

// TestCheckIsIdle checks that the triggers are left alone if nothing changed,
// and are made anew if the mapping did.
func TestCheckIsIdle(t *testing.T) {
	db := newDatabase(t, shopSchema)
	db.source(shopMapping())
	version := db.value("PRAGMA schema_version")
	db.source(shopMapping())
	if again := db.value("PRAGMA schema_version"); again != version {
		t.Errorf("a second Check altered the schema: version %s, then %s", version, again)
	}
	m := shopMapping()
	src := db.source(m)
	from := snapshotPlace(t, src)
	db.exec("INSERT INTO bookings (id, status, staff_notes) VALUES ('b1', 'pending', 'n')")
	bookings := m.Tables["bookings"]
	bookings.Columns = []string{"status", "staff_notes"}
	bookings.Access = nil
	m.Tables["bookings"] = bookings
	src = db.source(m)
	db.exec("UPDATE bookings SET status = 'confirmed'")
	// The first entry was written without the notes; what is no longer listed
	// does not leave the log.
	wantRun(t, src, from, `
Insert bookings new(id=b1 status=pending)
Update bookings old(id=b1 staff_notes=n status=pending) new(id=b1 staff_notes=n status=confirmed)`)
	delete(m.Tables, "bookings")
	wantRun(t, db.source(m), from, "nothing\nnothing")
}

// TestNothingUnlisted searches the log for a column that is not listed.
func TestNothingUnlisted(t *testing.T) {
	db := newDatabase(t, shopSchema)
	db.source(shopMapping())
	db.exec(`INSERT INTO services VALUES ('s1', 'v1', 'MARK');
		INSERT INTO bookings VALUES ('b1', 'u1', 's1', 'pending', NULL, NULL, 'MARK');
		REPLACE INTO bookings VALUES ('b1', 'u1', 's1', 'confirmed', NULL, NULL, 'MARK');
		UPDATE services SET provider_id = 'v2';
		INSERT OR IGNORE INTO bookings VALUES ('b1', 'u1', 's1', 'confirmed', NULL, NULL, 'MARK');
		DELETE FROM bookings`)
	for _, table := range []string{"fabric_changes", "fabric_replaced"} {
		if n := db.value("SELECT count(*) FROM " + table + " WHERE old LIKE '%MARK%' OR key LIKE '%MARK%'"); n != "0" {
			t.Errorf("%s has %s entries with a column that is not listed", table, n)
		}
	}
	if n := db.value("SELECT count(*) FROM fabric_changes WHERE new LIKE '%MARK%'"); n != "0" {
		t.Errorf("fabric_changes has %s new rows with a column that is not listed", n)
	}
}

func TestUninstall(t *testing.T) {
	db := newDatabase(t, shopSchema)
	before := db.value("SELECT group_concat(name) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
	src := db.source(shopMapping())
	db.exec("INSERT INTO bookings (id) VALUES ('b1')")
	from := snapshotPlace(t, src)
	if err := sqlite.Uninstall(t.Context(), db.path); err != nil {
		t.Fatal(err)
	}
	if after := db.value("SELECT group_concat(name) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"); after != before {
		t.Errorf("left behind: %s, want %s", after, before)
	}
	db.exec("UPDATE bookings SET status = 'unseen'")
	if err := sqlite.Uninstall(t.Context(), db.path); err != nil {
		t.Errorf("Uninstall of what is not there: %v", err)
	}
	// What was written meanwhile is unknown.
	if _, err := collectUntil(t, db.source(shopMapping()), from, 1); !strings.Contains(err.Error(), publisher.ErrLost.Error()) {
		t.Errorf("Run after Uninstall and Check = %v, want ErrLost", err)
	}
	wantSentence(t, sqlite.Uninstall(t.Context(), filepath.Join(t.TempDir(), "none")), "uninstall", "does not exist")
}
