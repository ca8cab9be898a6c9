package pgdb

import (
	"fmt"

	"github.com/petpro/fabric/publisher"
)

// ProblemWALLevel is that of logical replication with a wal_level that is too
// low; level may be "".
func ProblemWALLevel(level string) publisher.Problem {
	what := "wal_level is lower than logical"
	if level != "" {
		what = "wal_level is " + level
	}
	return publisher.Problem{
		What: what + ", and logical replication needs logical",
		Mend: "ALTER SYSTEM SET wal_level = 'logical', then restart PostgreSQL; or use a source of kind outbox, which needs neither",
	}
}

// ProblemReplication is that of a role without the attribute.
func ProblemReplication(role string) publisher.Problem { return problemReplication(who{role: role}) }

func problemReplication(w who) publisher.Problem {
	return publisher.Problem{
		What: fmt.Sprintf("%s may not replicate", w.named()),
		Mend: fmt.Sprintf("ALTER ROLE %s REPLICATION", w.sql()),
	}
}

// ProblemSlots is that of a server whose replication slots are all taken.
func ProblemSlots() publisher.Problem {
	return publisher.Problem{
		What: "all replication slots of the server are in use",
		Mend: "ALTER SYSTEM SET max_replication_slots = …, then restart PostgreSQL; or drop one that nobody reads any more " +
			"(SELECT slot_name, database, active FROM pg_replication_slots): SELECT pg_drop_replication_slot('…')",
	}
}

// ProblemPooler is that of a connection that needs a session and got a pooler.
func ProblemPooler() publisher.Problem {
	return publisher.Problem{
		What: "the DSN leads to a pooler such as pgbouncer, through which neither replication nor settings of the session work",
		Mend: "use the address of PostgreSQL itself in the DSN; a source of kind outbox works through a pooler",
	}
}
