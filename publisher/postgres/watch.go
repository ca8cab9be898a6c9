package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchEvery is how often the slot and the publication are looked at, watchLimit
// how long that may take: it must not hold up the queries that the stream waits
// for.
const (
	watchEvery = 5 * time.Second
	watchLimit = 2 * time.Second
)

// watch is what looks after the server while Run listens to it.
type watch struct {
	s *Source
	// warned is the status of the slot that was warned of, "" if none was.
	warned string
	// unpublished is what the publication lacked the last time.
	unpublished string
}

// run looks until ctx ends or something is amiss that the stream does not tell:
// that is returned.
func (w *watch) run(ctx context.Context) error {
	ticker := time.NewTicker(w.s.watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := w.look(ctx); err != nil {
				return err
			}
		}
	}
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	var f *findings
	asked, err := w.s.queries.try(ctx, func(conn *pgx.Conn) (err error) {
		f, err = w.s.look(ctx, conn)
		return err
	})
	if err != nil {
		w.s.log.Debug("the state of slot and publication cannot be read", "err", err)
		return nil
	}
	if !asked || f.server.InRecovery {
		return nil
	}
	w.slot(f.slot)
	return w.publication(f)
}

// slot warns when the server is about to give it up.
func (w *watch) slot(state *slotState) {
	if state == nil {
		state = &slotState{status: "lost"}
	}
	w.s.metrics.slot(*state)
	if state.status == "reserved" || state.status == "extended" {
		w.warned = ""
		return
	}
	if state.status != w.warned {
		w.s.log.Warn("the server is about to give the replication slot up; see what holds the publisher back, or raise max_slot_wal_keep_size",
			"slot", w.s.cfg.Slot, "status", state.status, "retained", state.retained, "left", state.safe)
	}
	w.warned = state.status
}

// publication returns publisher.ErrLost if a table of the mapping is not
// published any more, be it that it was made anew: what is written to it then is
// missing in the log without a word. It has to be seen twice, for the catalog is
// not read in one moment.
func (w *watch) publication(f *findings) error {
	before := w.unpublished
	if w.unpublished = w.s.unpublished(f); w.unpublished == "" || w.unpublished != before {
		return nil
	}
	return lostf("%s; to mend that does not bring back what was written meanwhile (fabric publisher check tells how)", w.unpublished)
}

// unpublished says what the publication leaves out, "" if nothing.
func (s *Source) unpublished(f *findings) string {
	p := f.publication
	if p == nil {
		return fmt.Sprintf("publication %s was dropped", s.cfg.Publication)
	}
	if !p.complete() {
		return fmt.Sprintf("publication %s does not publish all operations any more", p.name)
	}
	for _, t := range s.plan.sorted() {
		real := f.known(t)
		if real == nil {
			continue // the stream tells, when a row comes
		}
		if in, ok := p.tables[real.OID]; !ok || in.filter != "" {
			return fmt.Sprintf("publication %s does not publish table %s, or not all of it, any more", p.name, real.Name)
		}
	}
	return ""
}
