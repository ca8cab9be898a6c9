// Package protocol is the wire between an edge and its clients: what a client
// may ask (Command), what an edge answers and pushes (Out, events), and the
// codes of errors and closes. It is the Go form of docs/PROTOCOL.md and depends
// on the standard library alone, so that clients can use it too.
//
// A text frame holds one or more JSON objects, each on its own line. Decode
// takes such a frame apart, lazily: who stops asking for commands stops paying
// for them. Append and AppendEvent write one object each, by hand and without
// reflection, because every event is encoded while a shard waits; the result is
// always one line.
//
// Decoding copies what it keeps: a frame's buffer may be used again at once.
// Encoding passes payloads through untouched, but for one that spans lines,
// which is compacted.
//
// testdata/vectors holds one file per frame, with what it means, for the tests
// of this package and of clients in other languages.
package protocol
