package pgdb

import (
	"fmt"
	"strings"
)

// Form is a setting that decides how PostgreSQL writes values as text.
type Form struct{ Name, Value string }

// Forms fix the text of every value. Connect and Begin set them; a function has to
// set them itself.
var Forms = []Form{
	{"datestyle", "ISO"},
	{"timezone", "UTC"},
	{"intervalstyle", "postgres"},
	// 1 and above is the shortest text that gives the same number again.
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
}

// setLocal is a statement that sets settings until the end of the transaction.
func setLocal(settings []Form) string {
	set := make([]string, len(settings))
	for i, f := range settings {
		set[i] = fmt.Sprintf("pg_catalog.set_config('%s', '%s', true)", f.Name, f.Value)
	}
	return "SELECT " + strings.Join(set, ", ")
}

// Text is the text of a value as our sources give it: PostgreSQL's own, but for
// booleans, which are true and false.
func Text(typeOID uint32, text string) string {
	if typeOID == BoolOID {
		switch text {
		case "t":
			return "true"
		case "f":
			return "false"
		}
	}
	return text
}

// BoolOID is the type boolean, fixed in every PostgreSQL (pg_type.dat).
const BoolOID = 16
