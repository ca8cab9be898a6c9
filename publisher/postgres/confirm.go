package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// confirmer takes confirmations to the stream of the Run under way. Outside of
// a Run they are dropped: the next one confirms what includes them.
type confirmer struct {
	mu      sync.Mutex
	stream  *pgoutput.Stream // guarded by mu
	history timeline         // guarded by mu
}

func (c *confirmer) begin(stream *pgoutput.Stream, history timeline) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream, c.history = stream, history
}

func (c *confirmer) end() { c.begin(nil, timeline{}) }

// confirm ignores places of another cluster: an LSN of theirs would make the
// slot forget what was not read yet.
func (c *confirmer) confirm(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil && p.system == c.history.system && p.id <= c.history.id {
		c.stream.Confirm(pgoutput.LSN(p.lsn))
	}
}

// Confirm lets the server forget what lies before the transaction of place. That
// transaction itself is sent again at the next Run: that it is there shows that
// the log is still the one that was published. It reaches the server within
// about a second.
func (s *Source) Confirm(_ context.Context, at string) error {
	p, err := parsePlace(at)
	if err != nil {
		return fmt.Errorf("postgres source %q: confirm: %w", s.name, err)
	}
	s.confirm.confirm(p)
	return nil
}
