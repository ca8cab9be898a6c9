// Package chaos holds the tests in which parts die, lie or disappear: the real
// publisher and the real nats-server, as processes of their own, and a real
// PostgreSQL are killed, stopped, rolled back, replaced and failed over while a
// shop is written to. Afterwards the whole stream is read and held against the
// database. There is no code here but tests.
//
// The promise under test: every committed change is in the stream once, in
// order per booking, or its loss is noticed and said. Nothing that the mapping
// does not list is anywhere.
//
// `make test` runs each with few kills; `make chaos` (-chaos.kills 100) with
// many. Seeds are printed, and -chaos.seed repeats one; processes and the
// network are not repeated.
package chaos
