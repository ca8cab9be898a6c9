// Package hubtest is a stream, edges that follow it and clients, in memory and
// on command, for tests of the hub and of whatever else stands on hub.Feed,
// hub.History and hub.Client.
//
// A Stream keeps the newest messages of each subject and remembers what it
// held after every operation, so that a question can be answered as a replica
// would that lags behind. Each Edge has its own tail, which moves when the
// test says so or, by default, with every publication; what the stream trims
// before a tail has read it is a hole, as in the real feed. A Client records
// what it was sent, behind a bounded queue that the test empties.
//
// Nothing here starts a goroutine, and time is read with time.Now only: all of
// it runs in a testing/synctest bubble.
package hubtest
