package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// pruneBatch entries are deleted at once, so that the shop's writers wait
	// for milliseconds only.
	pruneBatch = 1000
	// pruneWait is how long a batch may take, above all to wait for the lock.
	pruneWait = 200 * time.Millisecond
)

// pruner is the state of Confirm.
type pruner struct {
	mu sync.Mutex
	// conn is kept open while a Run runs.
	conn *connection
	runs int
	// until is the smallest id not pruned, as far as is known.
	until int64
}

// Confirm deletes the entries before place, in batches. A locked database is no
// error: the next Confirm does it.
func (s *Source) Confirm(ctx context.Context, at string) error {
	p, err := parsePlace(at)
	if err != nil {
		return s.failed("confirm", err)
	}
	s.pruner.mu.Lock()
	defer s.pruner.mu.Unlock()
	if p.id <= s.pruner.until {
		return nil
	}
	err = s.prune(ctx, p.id)
	if s.pruner.runs == 0 {
		err = errors.Join(err, s.pruner.close())
	}
	if ctx.Err() == nil && (busy(err) || errors.Is(err, context.DeadlineExceeded)) {
		s.log.Debug("change log not pruned: the database is locked", "until", p.id)
		return nil
	}
	if err != nil {
		return s.ended(ctx, "confirm "+at, err)
	}
	return nil
}

func (s *Source) prune(ctx context.Context, until int64) error {
	p := &s.pruner
	if p.conn == nil {
		c, err := openWriter(ctx, s.cfg.Path)
		if err != nil {
			return err
		}
		p.conn = c
	}
	for p.until < until {
		reached, err := p.batch(ctx, until)
		if err != nil {
			return err
		}
		p.until = reached
	}
	return nil
}

// batch deletes the oldest entries and returns the smallest id that is left of
// those to delete, until if there is none.
func (p *pruner) batch(ctx context.Context, until int64) (reached int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pruneWait)
	defer cancel()
	tx, err := p.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var oldest int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(min(id), ?1) FROM fabric_changes WHERE id < ?1", until).Scan(&oldest); err != nil {
		return 0, err
	}
	reached = min(oldest+pruneBatch, until)
	if oldest == until {
		return until, nil
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM fabric_changes WHERE id < ?", reached); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "REPLACE INTO fabric_meta(kind, name, value) VALUES ('pruned', '', ?)", reached-1); err != nil {
		return 0, err
	}
	return reached, tx.Commit()
}

// begin and end enclose a Run.
func (p *pruner) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs++
}

func (p *pruner) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs--; p.runs == 0 {
		p.close()
	}
}

func (p *pruner) close() error {
	if p.conn == nil {
		return nil
	}
	c := p.conn
	p.conn = nil
	return c.Close()
}
