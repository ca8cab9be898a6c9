package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// saveEvery is how often the state is written while it changes.
const saveEvery = 100 * time.Millisecond

// mark is the highest point of the stream that was acknowledged to us, or read
// back from its leader.
type mark struct {
	// Position is the header Fabric-Position of the message with sequence
	// Sequence.
	Position string `json:"position"`
	Sequence uint64 `json:"sequence"`
	// Time is the stream's own time of that message. An acknowledgement does
	// not tell it, so it is zero until the message has been read back. A stream
	// that was restored and has grown again may have the same message at the
	// same sequence, but never at the same nanosecond.
	Time time.Time `json:"time,omitzero"`
}

// stateFile keeps a mark outside the stream. It is what tells a stream that
// lost data from one that never had it.
//
// While it changes it is written every saveEvery, as is the newest position of
// which the stream's time is known (a read from the leader each time).
//
// It is replaced as a whole (write, rename) and not synced: after a power cut
// of this host it may be old or missing, after a kill it is at most saveEvery
// old. An old mark makes the check weaker by what is missing, never wrong.
type stateFile struct {
	path string
}

// openState creates the directory and names the file of one stream in it.
func openState(dir, stream string) (stateFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return stateFile{}, fmt.Errorf("publisher.state: %w; it must be a directory that the publisher may write", err)
	}
	return stateFile{path: filepath.Join(dir, stream+".json")}, nil
}

// load reads the mark; the zero mark if there is none.
func (f stateFile) load() (mark, error) {
	var m mark
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err == nil && m.Position != "" {
		_, err = ParsePositions(m.Position)
	}
	if err != nil {
		return mark{}, fmt.Errorf("publisher.state: read %s: %w; remove the file if it is damaged: only a loss of data by the stream before now would go unnoticed", f.path, err)
	}
	return m, nil
}

// save replaces the file.
func (f stateFile) save(m mark) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("publisher.state: %w", err)
	}
	tmp := f.path + ".tmp"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("publisher.state: %w", err)
	}
	if err := os.Rename(tmp, f.path); err != nil {
		return fmt.Errorf("publisher.state: %w", err)
	}
	return nil
}

// keepState saves the mark while it changes, and once more when ctx has ended.
func (p *Publisher) keepState(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			p.saveState(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			p.saveState(ctx)
		}
	}
}

func (p *Publisher) saveState(ctx context.Context) {
	m, saved := p.marks()
	if m.Sequence == saved.Sequence && m.Position == saved.Position {
		return
	}
	if m.Time.IsZero() {
		ctx, cancel := context.WithTimeout(ctx, saveEvery)
		defer cancel()
		got, err := stream.NewLeader(p.nc, p.cfg.Stream).Get(ctx, m.Sequence)
		if err != nil || got.Header.Get(subjects.PositionHeader) != m.Position {
			return // made room for newer ones, or the session is about to notice
		}
		m.Time = got.Time
	}
	err := p.state.save(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && p.stateErr == nil {
		p.log.Error("state cannot be saved; publishing goes on, but a loss of data by the stream may go unnoticed after a restart", "err", err)
	}
	if err == nil {
		p.saved = m
	}
	p.stateErr = err
}
