package pgdb

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher"
)

// readOnly is for whoever reached a standby.
const readOnly = "if it is a standby, name all hosts and target_session_attrs=read-write in the DSN: postgres://…@db1,db2/shop?target_session_attrs=read-write"

// rule of what an SQLSTATE means. Rules are tried in order.
type rule struct {
	// code is an SQLSTATE, or its class if it has two characters.
	code string
	// routines are the functions of the server that say it, nil for any. Unlike
	// the message they are the same in all languages.
	routines []string
	// says is part of the message, for poolers, which name no routine.
	says string
	// means gives the meaning, or nil if it is not the case after all.
	means func(*pgconn.PgError, who) error
	hint  string
}

func away(*pgconn.PgError, who) error { return publisher.ErrAway }
func lost(*pgconn.PgError, who) error { return publisher.ErrLost }

var rules = []rule{
	{code: "08P01", means: poolerRefuses},
	{code: "08", means: away},
	{code: "28", means: loginRefused},
	{code: "3D000", means: noDatabase},
	{code: "57P04", means: noDatabase},
	{code: "26000", means: noSession},
	{code: "42P05", means: noSession},

	{code: "57P01", means: away}, {code: "57P02", means: away}, {code: "57P03", means: away},
	{code: "57P05", means: away, hint: "the server ended an idle session: ALTER ROLE … SET idle_session_timeout = 0"},
	{code: "57014", means: away, hint: "somebody or a time limit cancelled the statement"},
	{code: "53300", routines: []string{"InitProcess"}, means: away,
		hint: "if it is max_wal_senders that is exceeded: ALTER SYSTEM SET max_wal_senders = …, then restart PostgreSQL"},
	{code: "53", means: outOf},
	{code: "58030", means: away},
	{code: "25006", means: away, hint: readOnly},
	{code: "0A000", routines: []string{"CheckLogicalDecodingRequirements"}, means: away, hint: readOnly},
	{code: "40", means: away}, // deadlock, serialization failure
	{code: "55P03", means: away, hint: "a lock was not granted in time: a migration may hold it (pg_locks)"},
	{code: "55006", means: away, hint: "another publisher has it, or the server has not noticed yet that it is gone"},

	{code: "42704", routines: []string{"ReplicationSlotAcquire", "ReplicationSlotDrop", "StartLogicalReplication"}, means: lost},
	{code: "55000", routines: []string{"StartLogicalReplication", "CreateDecodingContext", "ReplicationSlotAcquire"}, means: slotUnusable},
	{code: "58P01", says: "WAL segment", means: lost},

	{code: "55000", routines: []string{"CheckLogicalDecodingRequirements"}, means: func(*pgconn.PgError, who) error { return ProblemWALLevel("") }},
	{code: "42704", routines: []string{"get_publication_oid"}, means: noPublication},
	{code: "42704", says: "configuration parameter", means: unknownParameter},
	{code: "42501", routines: []string{"InitPostgres", "CheckSlotPermissions", "check_permissions"},
		means: func(_ *pgconn.PgError, w who) error { return problemReplication(w) }},
	{code: "42501", routines: []string{"check_enable_rls"}, means: hiddenRows},
	{code: "42501", routines: []string{"CheckMyDatabase"}, means: noConnect},
	{code: "42501", routines: []string{"aclcheck_error"}, means: denied},
}

// byState finds the meaning of an error of the server, nil if there is none.
func byState(e *pgconn.PgError, w who) (means error, hint string) {
	for _, r := range rules {
		if !strings.HasPrefix(e.Code, r.code) || !strings.Contains(e.Message, r.says) ||
			r.routines != nil && !slices.Contains(r.routines, e.Routine) {
			continue
		}
		if means := r.means(e, w); means != nil {
			return means, r.hint
		}
	}
	return nil, ""
}

// outOf is a lack of something: replication slots do not come by themselves, all
// else may.
func outOf(e *pgconn.PgError, _ who) error {
	if e.Code == "53400" {
		return ProblemSlots()
	}
	return publisher.ErrAway
}

func loginRefused(e *pgconn.PgError, w who) error {
	switch {
	case e.Code == "28P01":
		return wrongPassword(w)
	case e.Routine == "InitializeSessionUserId":
		return publisher.Problem{
			What: fmt.Sprintf("the server has no %s that may log in", strings.TrimPrefix(w.named(), "the ")),
			Mend: fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '…', or ALTER ROLE %s LOGIN if it exists", w.sql(), w.sql()),
		}
	}
	return publisher.Problem{
		What: fmt.Sprintf("the server lets nobody in from here as %s", w.named()),
		Mend: fmt.Sprintf("add to its pg_hba.conf: host %s %s <our address>/32 scram-sha-256 (hostssl, with sslmode=require or more in the DSN, if it wants TLS), then SELECT pg_reload_conf()",
			hbaName(w.database), hbaName(w.role)),
	}
}

func wrongPassword(w who) error {
	return publisher.Problem{
		What: fmt.Sprintf("the password of %s is refused", w.named()),
		Mend: fmt.Sprintf("correct it in the DSN (where postgres://… has %%40 %%2F %%25 for @ / %%), or ALTER ROLE %s PASSWORD '…'", w.sql()),
	}
}

// hbaName is a name as pg_hba.conf takes it.
func hbaName(name string) string { return `"` + cmp.Or(name, "…") + `"` }

func noDatabase(_ *pgconn.PgError, w who) error {
	return publisher.Problem{
		What: fmt.Sprintf("the server has no database %s", hbaName(w.database)),
		Mend: "correct the database in the DSN",
	}
}

func noConnect(_ *pgconn.PgError, w who) error {
	return publisher.Problem{
		What: fmt.Sprintf("%s may not connect to the database", w.named()),
		Mend: fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", Quote(cmp.Or(w.database, "…")), w.sql()),
	}
}

var inQuotes = regexp.MustCompile(`"([^"]*)"`)

// quoted is the first name in the message; "" if there is none, or the server's
// language has other quotation marks.
func quoted(e *pgconn.PgError) string {
	if m := inQuotes.FindStringSubmatch(e.Message); m != nil {
		return m[1]
	}
	return ""
}

// slotUnusable tells a slot that was invalidated, of which the server says why,
// from one of another database.
func slotUnusable(e *pgconn.PgError, _ who) error {
	if e.Detail != "" {
		return publisher.ErrLost
	}
	return publisher.Problem{
		What: fmt.Sprintf("the replication slot %q belongs to another database", quoted(e)),
		Mend: "give the source another slot (postgres.slot), or drop this one in its own database: SELECT pg_drop_replication_slot('" + quoted(e) + "')",
	}
}

func noPublication(e *pgconn.PgError, _ who) error {
	name := cmp.Or(quoted(e), "…")
	return publisher.Problem{
		What: fmt.Sprintf("the publication %q does not exist, or did not yet when the slot was made, and so the slot cannot be read", name),
		Mend: "make the publication first, then the slot anew: fabric publisher setup --print-sql",
	}
}

func unknownParameter(e *pgconn.PgError, _ who) error {
	return publisher.Problem{
		What: fmt.Sprintf("the server does not know the setting %q", quoted(e)),
		Mend: "remove it from the DSN if it is there; otherwise the server is older than PostgreSQL 13: upgrade it",
	}
}

func hiddenRows(e *pgconn.PgError, w who) error {
	return publisher.Problem{
		What: fmt.Sprintf("row level security hides rows of table %q from %s", quoted(e), w.named()),
		Mend: fmt.Sprintf("ALTER ROLE %s BYPASSRLS", w.sql()),
	}
}

func denied(e *pgconn.PgError, w who) error {
	return publisher.Problem{
		What: fmt.Sprintf("%s lacks a privilege: %s", w.named(), e.Message),
		Mend: "fabric publisher setup --print-sql prints the grants",
	}
}

func noSession(*pgconn.PgError, who) error { return ProblemPooler() }

// poolerRefuses judges protocol violations, by which pgbouncer says nearly
// everything, in English.
func poolerRefuses(e *pgconn.PgError, w who) error {
	says := func(part string) bool { return strings.Contains(e.Message, part) }
	switch {
	case e.Routine != "": // the server itself
		return nil
	case says("unsupported startup parameter"):
		return ProblemPooler()
	case says("statement pooling mode"):
		return publisher.Problem{What: "the pooler is in statement mode, and knows no transactions", Mend: "pool_mode = transaction in its settings"}
	case says("database") && (says("does not exist") || says("no such")):
		return noDatabase(e, w)
	case says("no such user"):
		return publisher.Problem{
			What: fmt.Sprintf("the pooler does not know %s", w.named()),
			Mend: "add it to the pooler's auth_file, or set its auth_query",
		}
	case says("authentication failed"):
		return wrongPassword(w)
	}
	return publisher.ErrAway // no more connections allowed, query_wait_timeout, server login failed …
}
