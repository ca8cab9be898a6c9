package hub

import (
	"context"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

// endTimeout bounds one question to the leader.
const endTimeout = 3 * time.Second

// askEnd asks the leader how far the stream goes, for a client whose position
// is ahead of this edge: it lags, or the log was truncated, or the cursor is
// forged. One question at a time serves all of the shard, but nobody who came
// after it was asked: the position may be newer than the answer.
func (sh *shard) askEnd(u *unit) {
	if sh.asking {
		if u.question == 0 {
			u.question = sh.question + 1
		}
		return
	}
	sh.asking = true
	sh.question++
	if u.question == 0 {
		u.question = sh.question
	}
	gen, f := sh.gen, sh.hub.fetch
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(func() {
		ctx, cancel := context.WithTimeout(f.ctx, endTimeout)
		defer cancel()
		end, err := sh.hub.feed.End(ctx, gen)
		sh.in.post(func() { sh.ended(gen, end, err) })
	})
}

// ended sorts those who wait: whom the tail will reach, and whose position
// does not exist.
func (sh *shard) ended(gen, end uint64, err error) {
	sh.asking = false
	if err != nil || gen != sh.gen {
		sh.pauseAhead()
		return
	}
	for u := range sh.waiting {
		if u.phase != asking || u.question == 0 || u.question > sh.question {
			continue
		}
		u.question = 0
		need := uint64(0)
		for _, l := range u.legs {
			switch {
			case l.fresh || l.forced != "" || l.since.Epoch != sh.epoch || l.since.Seq <= sh.w:
			case l.since.Seq > end:
				l.forced = protocol.GapEpoch
			default:
				need = max(need, l.since.Seq)
			}
		}
		u.needW = max(u.needW, need)
	}
	sh.moved = true
}

// pauseAhead lets those who are ahead ask again a little later.
func (sh *shard) pauseAhead() {
	for u := range sh.waiting {
		if u.phase == asking && u.question != 0 {
			u.pause()
		}
	}
}
