// Package install makes in a shop's PostgreSQL what a source needs there, and
// removes it again: it prints the SQL for psql, or runs it.
//
// Nothing is run but by Apply. Both ways do the same in the same order, and both
// may be repeated.
package install

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/pgdb"
)

// alone are statements that PostgreSQL refuses inside a transaction.
var alone = regexp.MustCompile(`(?i)^\s*(ALTER\s+SYSTEM|(CREATE(\s+UNIQUE)?|DROP)\s+INDEX\s+CONCURRENTLY|VACUUM)\b`)

// steps cuts statements into runs that can be a transaction each.
func steps(statements []pgdb.Statement) [][]pgdb.Statement {
	var out [][]pgdb.Statement
	for i, s := range statements {
		if i == 0 || alone.MatchString(s.SQL) || alone.MatchString(statements[i-1].SQL) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

// Print writes a script for psql. It stops at the first error, and what can be
// is done in one transaction.
func Print(w io.Writer, title string, statements []pgdb.Statement) error {
	var b strings.Builder
	for line := range strings.Lines(title) {
		b.WriteString("-- " + strings.TrimRight(line, "\n") + "\n")
	}
	if len(statements) == 0 {
		b.WriteString("-- Nothing is to be done.\n")
	} else {
		b.WriteString("\\set ON_ERROR_STOP on\n")
	}
	for _, step := range steps(statements) {
		one := len(step) == 1 && alone.MatchString(step[0].SQL)
		if !one {
			b.WriteString("\nBEGIN;\n")
		}
		for _, s := range step {
			b.WriteString("\n" + comment(s.Why) + terminated(s.SQL) + "\n")
		}
		if !one {
			b.WriteString("\nCOMMIT;\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// comment writes the reason above a statement, in lines of readable length.
func comment(why string) string {
	const width = 77
	var b strings.Builder
	line := "--"
	for _, word := range strings.Fields(why) {
		if len(line)+1+len(word) > width && line != "--" {
			b.WriteString(line + "\n")
			line = "--"
		}
		line += " " + word
	}
	if line == "--" {
		return ""
	}
	return b.String() + line + "\n"
}

func terminated(sql string) string { return strings.TrimRight(sql, "; \t\r\n") + ";" }

// Apply runs the statements as the role of the DSN, in as few transactions as
// can be, and writes a line for each.
func Apply(ctx context.Context, w io.Writer, dsn string, statements []pgdb.Statement) error {
	if len(statements) == 0 {
		_, err := fmt.Fprintln(w, "nothing is to be done")
		return err
	}
	conn, err := pgdb.Connect(ctx, dsn, pgdb.Options{Application: "fabric publisher setup"})
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	done := 0
	for _, step := range steps(statements) {
		if err := run(ctx, conn, step); err != nil {
			return fmt.Errorf("%w\n%s", err, progress(done, len(statements)))
		}
		for _, s := range step {
			done++
			if _, err := fmt.Fprintf(w, "%d/%d  %s\n", done, len(statements), headline(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

func progress(done, of int) string {
	if done == 0 {
		return "nothing was changed"
	}
	return fmt.Sprintf("%d of %d statements were done, the rest was not; it can be run again", done, of)
}

// run runs a step in a transaction, unless it is a statement that must stand
// alone.
func run(ctx context.Context, conn *pgx.Conn, step []pgdb.Statement) error {
	if len(step) == 1 && alone.MatchString(step[0].SQL) {
		_, err := conn.PgConn().Exec(ctx, step[0].SQL).ReadAll()
		return failed(step[0], err)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range step {
			// By the simple protocol, as psql does: a statement may be several.
			if _, err := tx.Conn().PgConn().Exec(ctx, s.SQL).ReadAll(); err != nil {
				return failed(s, err)
			}
		}
		return nil
	})
}

// failed says which statement was refused.
func failed(s pgdb.Statement, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\n%s", pgdb.Translate(err), indent(terminated(s.SQL)))
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// headline is the first line of a statement, for progress; of a block, the reason.
func headline(s pgdb.Statement) string {
	line, more, _ := strings.Cut(strings.TrimSpace(s.SQL), "\n")
	if strings.HasPrefix(line, "DO ") {
		line, more = strings.Join(strings.Fields(s.Why), " "), ""
	}
	const most = 100
	if runes := []rune(line); len(runes) > most {
		line, more = string(runes[:most]), "…"
	}
	if more != "" {
		line += " …"
	}
	return line
}
