package pgdb

// Statement is SQL that prepares a shop's database for a source, or removes what
// was prepared. The sources never run it themselves: an operator does.
type Statement struct {
	// SQL is one statement, without the semicolon at its end.
	SQL string
	// Why it is needed, in a sentence or two; printed as a comment above it.
	Why string
}
