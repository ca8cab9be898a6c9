package pgdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func TestIdentify(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			pg := pgtest.Run(t, append(opts, pgtest.Setting("max_slot_wal_keep_size", "1GB"), pgtest.Setting("max_replication_slots", "7"))...)
			db := pg.Database(t)
			role := db.Role(t, "REPLICATION")
			db.Exec(t, `SELECT pg_create_logical_replication_slot('one', 'pgoutput')`)
			conn := connect(t, role.DSN, pgdb.Options{})
			s, err := pgdb.Identify(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			if s.SystemID == 0 || s.LSN == 0 || s.VersionString() != value(t, conn, `SELECT split_part(current_setting('server_version'), ' ', 1)`) {
				t.Errorf("system %d at %s, version %s", s.SystemID, s.LSN, s.VersionString())
			}
			want := pgdb.Server{
				Version: s.Version, SystemID: s.SystemID, LSN: s.LSN, Timeline: 1,
				Database: db.Name, Encoding: "UTF8", Role: pgdb.Role{Name: role.Name, Replication: true},
				WALLevel: "logical", MaxSlots: 7, Slots: 1, MaxWALSenders: 60, MaxSlotWALKeep: 1 << 30, WALSenderTimeout: 10 * time.Second,
			}
			if s != want {
				t.Errorf("Identify =\n%+v, want\n%+v", s, want)
			}
			if found := s.Problems(); len(found) != 0 {
				t.Errorf("problems of a good server: %v", found)
			}
		})
	}
}

// The least that a role may be allowed is enough; who is asked then is IDENTIFY_SYSTEM.
func TestIdentifyRestricted(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"))
	db := pg.Database(t)
	db.Exec(t, `REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public`)
	s, err := pgdb.Identify(t.Context(), connect(t, db.Role(t, "").DSN, pgdb.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if s.SystemID != 0 || s.Timeline != 0 || s.WALLevel != "replica" || s.MaxSlotWALKeep != -1 || s.Role.Replication {
		t.Errorf("Identify = %+v", s)
	}
}

func TestIdentifyStandby(t *testing.T) {
	primary := pgtest.Run(t, pgtest.Version17)
	standby := pgtest.Replica(t, primary, pgtest.Setting("sync_replication_slots", "on"))
	identify := func(pg *pgtest.Server) pgdb.Server {
		t.Helper()
		s, err := pgdb.Identify(t.Context(), connect(t, pg.DSN("postgres"), pgdb.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, s := identify(primary), identify(standby)
	if before.InRecovery || before.WALSenders != 1 || before.Slots != 1 {
		t.Errorf("the primary is %+v", before)
	}
	if !s.InRecovery || !s.SyncSlots || s.LSN == 0 || s.Timeline != 0 || s.SystemID != before.SystemID {
		t.Errorf("the standby is %+v", s)
	}
	standby.Promote(t)
	if s := identify(standby); s.InRecovery || s.Timeline != 2 || s.SystemID != before.SystemID {
		t.Errorf("the promoted standby is %+v", s)
	}
}

func TestServerProblems(t *testing.T) {
	old := pgdb.Server{Version: 120022, Encoding: "SQL_ASCII", Database: "shop"}
	found := old.Problems()
	if len(found) != 2 || !strings.Contains(found[0].Error(), "12.22") || found[0].Advice || !strings.Contains(found[1].Error(), `"shop"`) || !found[1].Advice {
		t.Errorf("problems %q", found)
	}
}
