package natstest

import "go.uber.org/goleak"

// Main runs the tests of a package and then fails if goroutines are left. It is
// goleak.VerifyTestMain for packages that run a server:
//
//	func TestMain(m *testing.M) { natstest.Main(m) }
//
// nats-server 2.15.2 now and then leaves the flush loop of a message block
// behind, about once in a hundred servers that were sent atomic batches. Nothing
// of ours can end it, so that one function is not counted. Nor are the two
// loops that a file store may leave when its server is stopped soon after its
// start, again and again under load.
func Main(m goleak.TestingM, opts ...goleak.Option) {
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m, append(opts,
		goleak.IgnoreTopFunction(server+".(*msgBlock).flushLoop"),
		goleak.IgnoreTopFunction(server+".(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction(server+"/ats.Register.func1"))...)
}
