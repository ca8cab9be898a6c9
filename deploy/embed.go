// Package deploy holds what the fabric is deployed with. For Go it is the shop's
// tables, which `fabric dev --demo` makes too.
package deploy

import _ "embed"

// Postgres is postgres.sql: the tables of a small shop in PostgreSQL, and a few
// rows.
//
//go:embed postgres.sql
var Postgres string
