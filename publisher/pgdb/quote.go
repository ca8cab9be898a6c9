package pgdb

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// Quote makes an identifier fit for SQL: "name", or "schema"."name" of several.
func Quote(names ...string) string { return pgx.Identifier(names).Sanitize() }

// QuoteList quotes each name: "a", "b".
func QuoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Quote(n)
	}
	return strings.Join(quoted, ", ")
}

// QuoteLiteral makes a text fit for SQL where no parameter can stand, as in
// CREATE_REPLICATION_SLOT or DDL. It does not depend on
// standard_conforming_strings.
func QuoteLiteral(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", "''")
	if strings.Contains(s, `\`) {
		return `E'` + strings.ReplaceAll(s, `\`, `\\`) + `'`
	}
	return "'" + s + "'"
}
