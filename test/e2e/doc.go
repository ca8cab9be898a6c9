// Package e2e holds the tests of the whole path: a row changed by an outside
// writer, the real publisher, a real JetStream, two edges, and clients on real
// sockets. There is no code here but tests.
package e2e
