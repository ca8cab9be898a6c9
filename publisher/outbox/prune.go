package outbox

import (
	"context"
	"sync"
)

// pruner is the state of Confirm.
type pruner struct {
	mu sync.Mutex
	// conn is kept open while a Run runs.
	conn *conn
	runs int
	// until is the smallest batch not deleted, as far as is known.
	until int64
}

// Confirm deletes the batches before that of the place, some at a time.
func (s *Source) Confirm(ctx context.Context, at string) error {
	to, err := parsePlace(at)
	if err != nil {
		return s.failed("confirm", err)
	}
	p := &s.pruner
	p.mu.Lock()
	defer p.mu.Unlock()
	if to.n <= p.until {
		return nil
	}
	err = s.prune(ctx, to.n)
	if err == nil {
		p.until = to.n
	}
	if err != nil || p.runs == 0 {
		p.close()
	}
	return s.ended(ctx, "confirm "+at, err)
}

func (s *Source) prune(ctx context.Context, until int64) error {
	p := &s.pruner
	if p.conn == nil {
		c, err := s.connect(ctx)
		if err != nil {
			return err
		}
		p.conn = c
	}
	for {
		deleted, err := p.conn.Exec(ctx, s.queries.prune, until, p.until)
		if err != nil {
			return err
		}
		if deleted.RowsAffected() == 0 {
			return nil
		}
	}
}

// begin and end enclose a Run.
func (p *pruner) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs++
	p.until = 0 // another database, perhaps
}

func (p *pruner) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs--; p.runs == 0 {
		p.close()
	}
}

func (p *pruner) close() {
	if p.conn != nil {
		p.conn.close()
		p.conn = nil
	}
}
