package postgres

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// remedy is what a table needs so that its log tells former values as far as
// the mapping asks for them.
type remedy int

const (
	// keep: it does.
	keep remedy = iota
	// useIndex: with an index that exists as replica identity.
	useIndex
	// makeIndex: with a new index over the key and the columns asked for. An
	// UPDATE which leaves them as they are logs no more than before.
	makeIndex
	// full: with the whole row. Each UPDATE logs it twice, and (PostgreSQL 15) the
	// publication can have no column list.
	full
)

// remedy chooses the least. The columns are those of the identity then, nil for
// all; index is the one to be used.
func (t *table) remedy(real *pgdb.Table) (r remedy, columns []string, index string) {
	needed := t.formerNeeded()
	if real.Covers(needed) {
		return keep, identityColumns(real), ""
	}
	if t.followed && !t.mapped || real.Kind == pgdb.Partitioned {
		return full, nil, ""
	}
	for _, i := range real.Indexes {
		if identifies(real, i) && covers(i.Columns, needed) {
			return useIndex, i.Columns, i.Name
		}
	}
	for _, c := range needed {
		if column, ok := real.Column(c); !ok || !column.NotNull {
			return full, nil, ""
		}
	}
	return makeIndex, needed, indexName(real, needed)
}

// identityColumns are those of all partitions; nil if any is FULL.
func identityColumns(real *pgdb.Table) []string {
	set := map[string]bool{}
	for _, id := range real.Identities() {
		if id.Kind == pgdb.IdentityFull {
			return nil
		}
		for _, c := range id.Columns {
			set[c] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// identifies says whether PostgreSQL takes the index as replica identity.
func identifies(real *pgdb.Table, i pgdb.Index) bool {
	if !i.Unique || !i.Valid || !i.Immediate || i.Partial || i.Expression() {
		return false
	}
	return !slices.ContainsFunc(i.Columns, func(name string) bool {
		c, ok := real.Column(name)
		return !ok || !c.NotNull
	})
}

func covers(have, want []string) bool {
	return !slices.ContainsFunc(want, func(c string) bool { return !slices.Contains(have, c) })
}

// ownIndex is how the names of our indexes begin.
const ownIndex = "fabric_"

// indexName depends on the columns, for an index over others is another one.
func indexName(real *pgdb.Table, columns []string) string {
	h := fnv.New32a()
	h.Write([]byte(strings.Join(columns, "\x00")))
	name := real.Name.Name
	if most := maxName - len(ownIndex) - 9; len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return ownIndex + name + "_" + hex.EncodeToString(h.Sum(nil))
}

// identify are the statements of the remedy.
func (t *table) identify(real *pgdb.Table) []pgdb.Statement {
	kind, columns, index := t.remedy(real)
	why := fmt.Sprintf("The log has to tell the former values of %s: %s.", strings.Join(t.formerNeeded(), ", "), t.reason())
	switch kind {
	case useIndex:
		return []pgdb.Statement{{SQL: useIndexSQL(real, index), Why: why}}
	case makeIndex:
		// The key first: it is the column that others may look for, too.
		columns = append([]string{t.key}, slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == t.key })...)
		return []pgdb.Statement{
			{
				SQL: fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS %s ON %s (%s)", pgdb.Quote(index), real.Quoted(), pgdb.QuoteList(columns)),
				Why: why + " As an index over them is its replica identity, an UPDATE that changes none logs no more than before.",
			},
			{SQL: useIndexSQL(real, index), Why: "Should the index be dropped, UPDATE and DELETE of the table fail until it has another identity."},
		}
	case full:
		return fullIdentity(real, why)
	}
	return nil
}

func useIndexSQL(real *pgdb.Table, index string) string {
	return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", real.Quoted(), pgdb.Quote(index))
}

func fullIdentity(real *pgdb.Table, why string) []pgdb.Statement {
	names := []pgdb.Name{real.Name}
	for _, c := range real.Children {
		if c.Partition {
			names = append(names, c.Name)
		}
	}
	var all []pgdb.Statement
	for _, n := range names {
		all = append(all, pgdb.Statement{SQL: "ALTER TABLE " + n.Quoted() + " REPLICA IDENTITY FULL", Why: why})
	}
	if len(names) > 1 {
		all[0].Why += " Partitions have identities of their own; new ones need the same."
	}
	return all
}

// reason says what former values are for.
func (t *table) reason() string {
	if t.followed {
		return "rows of a followed table are known as they were at any place in the log"
	}
	return "the mapping judges by them what changed, or what a deleted row was"
}

// sql puts statements on one line, for a Problem.
func sql(statements []pgdb.Statement) string {
	texts := make([]string, len(statements))
	for i, s := range statements {
		texts[i] = s.SQL
	}
	return strings.Join(texts, "; ")
}

// identityName is an identity in the words of ALTER TABLE.
func identityName(id pgdb.Identity) string {
	switch id.Kind {
	case pgdb.IdentityFull:
		return "FULL"
	case pgdb.IdentityNothing:
		return "NOTHING"
	case pgdb.IdentityIndex:
		if id.Index == "" {
			return "an index that was dropped"
		}
		return "index " + id.Index
	}
	return "DEFAULT"
}

// ofIdentity finds what is wrong with the identity of a table.
func (t *table) ofIdentity(real *pgdb.Table) (found []publisher.Problem) {
	mend, needed := sql(t.identify(real)), t.formerNeeded()
	ids := real.Identities()
	for _, name := range slices.SortedFunc(maps.Keys(ids), func(a, b pgdb.Name) int { return strings.Compare(a.String(), b.String()) }) {
		id := ids[name]
		missing := slices.DeleteFunc(slices.Clone(needed), func(c string) bool { return slices.Contains(id.Columns, c) })
		switch {
		case len(id.Columns) == 0:
			found = append(found, publisher.Problem{
				What: fmt.Sprintf("%s has no replica identity (%s): once it is published, its UPDATE and DELETE fail", name, identityName(id)), Mend: mend})
		case len(missing) > 0:
			found = append(found, publisher.Problem{
				What: fmt.Sprintf("%s: the log does not tell the former values of %s (replica identity %s), and %s", name, strings.Join(missing, ", "), identityName(id), t.reason()), Mend: mend})
		}
	}
	if root := real.Identity.Kind; real.Kind == pgdb.Partitioned && root == pgdb.IdentityFull {
		for _, name := range slices.SortedFunc(maps.Keys(ids), func(a, b pgdb.Name) int { return strings.Compare(a.String(), b.String()) }) {
			if ids[name].Kind != pgdb.IdentityFull {
				// Its old rows would be taken for complete ones.
				found = append(found, publisher.Problem{
					What: fmt.Sprintf("%s has not the replica identity FULL of its root %s", name, real.Name),
					Mend: "ALTER TABLE " + name.Quoted() + " REPLICA IDENTITY FULL"})
			}
		}
	}
	return found
}
