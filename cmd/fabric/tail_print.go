package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// maxSummary is how much of a payload a line shows.
const maxSummary = 72

// printer writes one line a message.
type printer struct {
	out     io.Writer
	kinds   subjects.Kinds
	options tailOptions
	colour  bool
}

// line is what is known of a message; with --json it is printed as it is.
type line struct {
	Seq     uint64 `json:"seq"`
	Subject string `json:"subject"`
	Room    string `json:"room,omitempty"`
	Type    string `json:"type"`
	// Time of the change, Stored when it was in the stream.
	Time   time.Time `json:"time"`
	Stored time.Time `json:"stored"`
	// LagMs is the time between the two; absent if the change tells no time.
	LagMs *float64        `json:"lagMs,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// print writes a message, or leaves it out.
func (p printer) print(m jetstream.Msg) error {
	l, class, err := p.read(m)
	if err != nil {
		return err
	}
	if class != subjects.Event && !p.options.records || !p.wanted(l.Type) {
		return nil
	}
	if p.options.json {
		return json.NewEncoder(p.out).Encode(l)
	}
	_, err = fmt.Fprintln(p.out, p.text(l))
	return err
}

func (p printer) wanted(typ string) bool {
	return len(p.options.types) == 0 || slices.Contains(p.options.types, typ)
}

func (p printer) read(m jetstream.Msg) (line, subjects.Class, error) {
	meta, err := m.Metadata()
	if err != nil {
		return line{}, 0, fmt.Errorf("read a message of the stream: %w", err)
	}
	name, err := p.kinds.Parse(m.Subject())
	if err != nil {
		name.Class = subjects.Unknown // not the contract's; shown with --records
	}
	l := line{
		Seq: meta.Sequence.Stream, Subject: m.Subject(), Room: string(name.Room), Type: typeOf(name, m.Subject()),
		Time: meta.Timestamp.UTC(), Stored: meta.Timestamp.UTC(),
	}
	if at, err := time.Parse(time.RFC3339Nano, m.Headers().Get(subjects.TimeHeader)); err == nil {
		lag := float64(meta.Timestamp.Sub(at).Microseconds()) / 1000
		l.Time, l.LagMs = at.UTC(), &lag
	}
	if data := bytes.TrimSpace(m.Data()); json.Valid(data) {
		l.Data = data
	} else if len(data) > 0 {
		l.Data, _ = json.Marshal(string(data)) // strings always become JSON
	}
	return l, name.Class, nil
}

func typeOf(n subjects.Name, subject string) string {
	switch n.Class {
	case subjects.Event:
		return n.Type
	case subjects.Grant:
		return subjects.AccessType
	case subjects.Logout:
		return subjects.ControlType
	case subjects.Indexed:
		return "index"
	case subjects.NewEpoch:
		return "epoch"
	case subjects.Progress:
		return "position"
	default:
		return subject
	}
}

// text is "15:04:05.123     0.8 ms  booking.42        status        confirmed".
func (p printer) text(l line) string {
	at := l.Time.Local()
	stamp := at.Format("15:04:05.000")
	if time.Since(at) > 24*time.Hour {
		stamp = at.Format("2006-01-02 15:04:05.000")
	}
	lag := "-"
	if l.LagMs != nil {
		lag = strconv.FormatFloat(*l.LagMs, 'f', 1, 64) + " ms"
	}
	says, colour := summary(l)
	return p.paint(dim, fmt.Sprintf("%s  %9s", stamp, lag)) + "  " + pad(l.Room, 16) + "  " +
		p.paint(cyan, pad(l.Type, 12)) + "  " + p.paint(colour, says)
}

// summary says what a payload says: the status, a title, or its beginning.
func summary(l line) (text, colour string) {
	var d struct {
		Status, Title, Message string
		Participants           map[string]string
		Epoch, Reason          string
	}
	_ = json.Unmarshal(l.Data, &d) // a payload of another form has none of these
	switch {
	case l.Type == subjects.StatusType && d.Status != "":
		return printable(d.Status), statusColour(d.Status)
	case l.Type == subjects.NotificationType && d.Title+d.Message != "":
		return printable(strings.Trim(d.Title+": "+d.Message, ": ")), ""
	case l.Type == subjects.AccessType:
		return printable(participants(d.Participants)), ""
	case l.Type == "epoch":
		return printable(d.Epoch + " (" + d.Reason + ")"), ""
	}
	var compact bytes.Buffer
	if json.Compact(&compact, l.Data) != nil {
		return "", ""
	}
	if l.Type == "index" {
		return printable(strings.TrimPrefix(l.Subject, l.Room+".") + " " + compact.String()), ""
	}
	return printable(compact.String()), ""
}

func participants(m map[string]string) string {
	if len(m) == 0 {
		return "nobody"
	}
	var out []string
	for user, role := range m {
		out = append(out, user+" "+role)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// printable keeps what others have written from driving the terminal, and
// lines short.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxSummary {
		s = string(r[:maxSummary-1]) + "…"
	}
	return s
}

func pad(s string, n int) string {
	if w := len([]rune(s)); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// ANSI colours.
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func statusColour(status string) string {
	switch status {
	case "confirmed", "completed":
		return green
	case "cancelled", "no_show":
		return red
	default:
		return yellow
	}
}

func (p printer) paint(colour, s string) string {
	if !p.colour || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// colourful reports whether w is a terminal that wants colours
// (https://no-color.org).
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
