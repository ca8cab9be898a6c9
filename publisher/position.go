package publisher

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// InitPlace stands for a source whose initial publication is not complete.
const InitPlace = "init"

// AllDone as Position.Done: the row is complete, its closing records included.
const AllDone = -1

// Position says how far one source has been published.
type Position struct {
	// Place of the last row, in the source's form, without '=' and ';';
	// InitPlace while the initial publication runs.
	Place string
	// Done counts the events of that row already in the stream; AllDone if the
	// row is complete. A restart repeats the records of a row that is not, for
	// only events are counted.
	Done int
}

// String writes "17/0/2" for a row with two events done, "17/0/*" for a
// complete one. A place without '/' stands alone when it is complete.
func (p Position) String() string { return string(p.append(nil)) }

func (p Position) append(b []byte) []byte {
	b = append(b, p.Place...)
	switch {
	case p.Place == InitPlace:
		return b
	case p.Done != AllDone:
		return strconv.AppendInt(append(b, '/'), int64(p.Done), 10)
	case strings.Contains(p.Place, "/"):
		return append(b, "/*"...)
	}
	return b
}

// less says whether p has fewer events done than q, at the same place.
func (p Position) less(q Position) bool {
	return p.Done != AllDone && (q.Done == AllDone || p.Done < q.Done)
}

func parsePosition(s string) (Position, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return Position{Place: s, Done: AllDone}, nil
	}
	if i == 0 {
		return Position{}, fmt.Errorf("%q names no place", s)
	}
	if s[i+1:] == "*" {
		return Position{Place: s[:i], Done: AllDone}, nil
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil || n < 0 {
		return Position{}, fmt.Errorf("%q does not end in a count", s)
	}
	return Position{Place: s[:i], Done: n}, nil
}

// Positions of all sources and the hash of the mapping that made the message
// they stand on: the value of the header Fabric-Position.
type Positions struct {
	Sources map[string]Position
	Map     string
}

// String writes "ingest=1042;petpro=17/0/2;map=9f3c", sources sorted by name.
func (p Positions) String() string { return p.of("") }

// of writes the positions for a message of one source, which comes first: so a
// message tells who made it.
func (p Positions) of(source string) string {
	b := make([]byte, 0, 64)
	if _, ok := p.Sources[source]; ok {
		b = p.appendSource(b, source)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Sources)) {
		if name != source {
			b = p.appendSource(b, name)
		}
	}
	return string(append(append(b, "map="...), p.Map...))
}

func (p Positions) appendSource(b []byte, name string) []byte {
	b = append(append(b, name...), '=')
	return append(p.Sources[name].append(b), ';')
}

// author is the source whose message carries this header.
func author(header string) string {
	name, _, _ := strings.Cut(header, "=")
	return name
}

// ParsePositions reads what String wrote. The empty string is no position.
func ParsePositions(s string) (Positions, error) {
	p := Positions{Sources: map[string]Position{}}
	rest, hash, ok := strings.Cut(s, "map=")
	if !ok || rest != "" && !strings.HasSuffix(rest, ";") || strings.ContainsAny(hash, "=;") {
		return Positions{}, fmt.Errorf("position %q does not end in map=<hash>", clip(s))
	}
	p.Map = hash
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ";")
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" || value == "" || strings.Contains(value, "=") {
			return Positions{}, fmt.Errorf("position %q: %q is not name=place", clip(s), clip(part))
		}
		if _, twice := p.Sources[name]; twice {
			return Positions{}, fmt.Errorf("position %q names %q twice", clip(s), clip(name))
		}
		pos, err := parsePosition(value)
		if err != nil {
			return Positions{}, fmt.Errorf("position %q: %w", clip(s), err)
		}
		p.Sources[name] = pos
	}
	return p, nil
}

// clone copies p, so that the original may move on.
func (p Positions) clone() Positions { return Positions{Sources: maps.Clone(p.Sources), Map: p.Map} }
