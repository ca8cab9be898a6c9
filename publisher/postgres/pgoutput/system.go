package pgoutput

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// System is what IDENTIFY_SYSTEM says of the server.
type System struct {
	// ID is the system identifier: all that descends from one initdb, physical
	// standbys and restored backups included, has the same.
	ID uint64
	// Timeline the server writes; a promotion and a point-in-time recovery begin
	// a new one. On a standby it is the one being replayed.
	Timeline uint32
	// Flushed is how far its log is safe on its disk.
	Flushed LSN
}

// Identify asks which server this is.
func (c *Conn) Identify(ctx context.Context) (System, error) {
	s, err := c.identify(ctx)
	if err != nil {
		return System{}, c.fail(ctx, Identifying, "", err)
	}
	return s, nil
}

func (c *Conn) identify(ctx context.Context) (System, error) {
	row, err := c.query(ctx, "IDENTIFY_SYSTEM", 3)
	if err != nil {
		return System{}, err
	}
	var s System
	if s.ID, err = strconv.ParseUint(string(row[0]), 10, 64); err != nil {
		return System{}, fmt.Errorf("system identifier: %w", err)
	}
	timeline, err := strconv.ParseUint(string(row[1]), 10, 32)
	if err != nil {
		return System{}, fmt.Errorf("timeline: %w", err)
	}
	s.Timeline = uint32(timeline)
	if s.Flushed, err = ParseLSN(string(row[2])); err != nil {
		return System{}, fmt.Errorf("flush location: %w", err)
	}
	return s, nil
}

// Switch is where a timeline was left for the next one.
type Switch struct {
	Timeline uint32
	// End is where it was left: of what was written on Timeline only what lies
	// before End belongs to the history of the later ones.
	End LSN
	// Reason as the server put it ("no recovery target specified").
	Reason string
}

// History returns the timelines that led to the given one, oldest first.
func (c *Conn) History(ctx context.Context, timeline uint32) ([]Switch, error) {
	if timeline <= 1 {
		return nil, nil // the first has no history file
	}
	row, err := c.query(ctx, fmt.Sprintf("TIMELINE_HISTORY %d", timeline), 2)
	if err != nil {
		return nil, c.fail(ctx, ReadingHistory, "", err)
	}
	switches, err := parseHistory(row[1])
	if err != nil {
		return nil, c.fail(ctx, ReadingHistory, "", fmt.Errorf("%s: %w", row[0], err))
	}
	return switches, nil
}

// parseHistory reads a history file: a line per switch, of timeline, LSN and
// reason, with tabs between. Blank lines and those that begin with # count not.
func parseHistory(file []byte) ([]Switch, error) {
	var switches []Switch
	number := 0
	for line := range bytes.Lines(file) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.SplitN(text, "\t", 3)
		if len(fields) < 2 {
			return nil, fmt.Errorf("line %d: %q is not a timeline and an LSN", number, text)
		}
		timeline, err := strconv.ParseUint(strings.TrimSpace(fields[0]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("line %d: timeline: %w", number, err)
		}
		end, err := ParseLSN(strings.TrimSpace(fields[1]))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		s := Switch{Timeline: uint32(timeline), End: end}
		if len(fields) == 3 {
			s.Reason = fields[2]
		}
		switches = append(switches, s)
	}
	return switches, nil
}
