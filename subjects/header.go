package subjects

// Headers of messages on the stream.
const (
	// TimeHeader carries the commit time of the change, RFC 3339 with
	// nanoseconds in UTC. It becomes "time" in client frames; without it the
	// stream's own time stands in.
	TimeHeader = "Fabric-Time"
	// PositionHeader tells how far the sources have been published including
	// this message: "<source>=<position>;…;map=<hash>". Only the publisher
	// reads it.
	PositionHeader = "Fabric-Position"
)
