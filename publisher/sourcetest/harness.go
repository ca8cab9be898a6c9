// Package sourcetest holds every publisher.Source to its contract.
//
// A source's test supplies a Harness: how an outside writer makes changes, and
// how to break things. Test then takes snapshots, runs and restarts the source
// and compares what it emits with what was committed:
//
//	func TestSource(t *testing.T) {
//		sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness {
//			db := newDatabase(t)
//			return &sourcetest.Harness{
//				Open:  func() publisher.Source { return New("shop", db.config(), mapping, logger) },
//				Write: db.insert,
//				ID:    func(e publisher.Entry) string { return e.Change.New["id"].Text },
//				…
//			}
//		})
//	}
//
// Fields that a kind of source has no use for stay nil, and the parts of the
// suite that need them are left out: a source without rows has no Follow, one
// without transactions no Rollback.
package sourcetest

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// Filler is a text of 2 KiB that every change carries besides its id, so that a
// source which holds a large transaction in memory is found out.
var Filler = strings.Repeat("x", 2<<10)

// Harness gives the suite hold of one empty store of changes, and of sources
// that read it. Its functions fail the test by themselves and are called from
// the test's goroutine, if not said otherwise.
type Harness struct {
	// Open returns a source over the store, as after a restart of the publisher.
	// The suite calls Check.
	Open func() publisher.Source

	// Write commits one change for each id, in this order, in one transaction if
	// the store has them. Each inserts a row, or publishes a message, that holds
	// the id and Filler. It uses a writer of its own, independent of the source,
	// and may be called from any goroutine and from within emit.
	Write func(ids ...string)

	// ID of a change that Write made; it is called for every entry with a Change
	// or a Direct message that is not of the followed table.
	ID func(publisher.Entry) string

	// Rollback does what Write does, and rolls it back.
	Rollback func(ids ...string)

	// Prune makes the store forget all up to place, included, as though someone
	// else had confirmed or removed it.
	Prune func(place string)

	// Future is a place that the store has not reached by far: from there Run
	// must return publisher.ErrLost. Empty if places tell nothing of the sort.
	Future string

	// Follow is nil if the source has no followed table.
	Follow *Follow

	// Kill makes the publisher of src die as far as the store can tell: its
	// connections break and it renews nothing. The instance itself goes on, as
	// one that was cut off does.
	Kill func(src publisher.Source)

	// Memory is how many bytes a Run may hold at a time, 0 = 4 MiB. To be raised
	// where the store itself lives in this process.
	Memory uint64
}

// Follow is how the suite writes and reads the followed table, each row of
// which is a key with a value.
type Follow struct {
	// Table is the name in Change.Table.
	Table string
	// Set inserts or updates a row; Delete removes it. Each is a transaction.
	Set    func(key, value string)
	Delete func(key string)
	// Row reads the key and value of a row.
	Row func(publisher.Row) (key, value string)
}

// opened returns a source that passed Check.
func (h *Harness) opened(t *testing.T) publisher.Source {
	t.Helper()
	src := h.Open()
	if err := src.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	return src
}

// own says whether e is a change that Write made.
func (h *Harness) own(e publisher.Entry) bool {
	return e.Direct != nil || e.Change != nil && (h.Follow == nil || e.Change.Table != h.Follow.Table)
}

// ids of the entries that Write made.
func (h *Harness) ids(entries []publisher.Entry) []string {
	var ids []string
	for _, e := range entries {
		if h.own(e) {
			ids = append(ids, h.ID(e))
		}
	}
	return ids
}
