// Package check asks everything that a publisher will need (mapping, NATS, each
// database) what would keep it from working, and gathers the answers with what
// mends them. It changes nothing, except that the sources prepare what is their
// own, as at any start of the publisher.
//
//	report.go   what was found, as text and as JSON
//	mapping.go  does the mapping compile
//	nats.go     is the broker there, new enough, with streams that fit, and may
//	            the publisher do what it has to
//	source.go   what each source says of its database
package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// Report is what was found, part by part.
type Report struct {
	Parts []Part
}

// Part is one thing that was asked.
type Part struct {
	// Name of the source, or "mapping" or "nats".
	Name string
	// Fine says what is as it should be, in short sentences.
	Fine []string
	// Problems that keep the publisher from working, and advice.
	Problems []publisher.Problem
}

// Counts are the problems that keep the publisher from working, and the pieces
// of advice.
func (p Part) Counts() (problems, advice int) {
	for _, found := range p.Problems {
		if found.Advice {
			advice++
		} else {
			problems++
		}
	}
	return problems, advice
}

// Counts of all parts.
func (r Report) Counts() (problems, advice int) {
	for _, p := range r.Parts {
		n, a := p.Counts()
		problems, advice = problems+n, advice+a
	}
	return problems, advice
}

// Mendable reports whether one of these parts has a problem that comes with SQL
// or a setting.
func (p Part) Mendable() bool {
	for _, found := range p.Problems {
		if !found.Advice && found.Mend != "" {
			return true
		}
	}
	return false
}

// fine adds a sentence about what is as it should be.
func (p *Part) fine(format string, args ...any) {
	p.Fine = append(p.Fine, fmt.Sprintf(format, args...))
}

// wrong adds a problem.
func (p *Part) wrong(what, mend string) {
	p.Problems = append(p.Problems, publisher.Problem{What: what, Mend: mend})
}

// advise adds a problem that the publisher works with.
func (p *Part) advise(what, mend string) {
	p.Problems = append(p.Problems, publisher.Problem{What: what, Mend: mend, Advice: true})
}

// add takes an error apart: what errors.Join put together becomes a problem
// each, and a publisher.Problem keeps what mends it.
func (p *Part) add(err error) {
	for _, err := range leaves(err) {
		if found, ok := errors.AsType[publisher.Problem](err); ok {
			// What stands behind the problem is what the server said.
			if _, said, ok := strings.Cut(err.Error(), found.Error()); ok && said != "" {
				found.What += "\n" + strings.TrimSpace(said)
			}
			p.Problems = append(p.Problems, found)
			continue
		}
		p.wrong(err.Error(), "")
	}
}

// leaves of a tree of joined errors. What wraps a join with words of its own
// gives the words up for the parts: the name of the part says the same.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		joined, ok := inner.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		parts := joined.Unwrap()
		if strings.Count(inner.Error(), "\n") == 0 && len(parts) > 1 {
			break // fmt.Errorf with several %w: one sentence
		}
		var out []error
		for _, part := range parts {
			out = append(out, leaves(part)...)
		}
		return out
	}
	return []error{err}
}

// WriteText writes the report for a person: what is fine in a line, problems
// numbered, what mends them indented so that it can be copied.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Parts {
		problems, advice := p.Counts()
		fmt.Fprintf(&b, "%-10s %s\n", p.Name, verdict(problems, advice))
		for _, s := range p.Fine {
			fmt.Fprintf(&b, "           %s\n", s)
		}
		n := 0
		for _, found := range p.Problems {
			if !found.Advice {
				n++
				writeProblem(&b, fmt.Sprintf("%d.", n), found)
			}
		}
		for _, found := range p.Problems {
			if found.Advice {
				writeProblem(&b, "advice:", found)
			}
		}
		if len(p.Problems) > 0 {
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func verdict(problems, advice int) string {
	switch {
	case problems > 0 && advice > 0:
		return count(problems, "problem") + ", " + count(advice, "piece") + " of advice"
	case problems > 0:
		return count(problems, "problem")
	case advice > 0:
		return "works, with " + count(advice, "piece") + " of advice"
	}
	return "fine"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Count writes "1 problem" or "3 problems".
func Count(problems int) string { return count(problems, "problem") }

func writeProblem(b *strings.Builder, label string, p publisher.Problem) {
	const text, mend = "\n     ", "\n       "
	fmt.Fprintf(b, "\n  %s %s\n", label, strings.ReplaceAll(p.What, "\n", text))
	if p.Mend != "" {
		b.WriteString(mend[1:] + strings.ReplaceAll(strings.TrimRight(p.Mend, "\n"), "\n", mend) + "\n")
	}
}

// MarshalJSON writes {"ok":…,"parts":[{"name","ok","fine","problems":[{"what",
// "mend","advice"}]}]}.
func (r Report) MarshalJSON() ([]byte, error) {
	type problem struct {
		What   string `json:"what"`
		Mend   string `json:"mend,omitempty"`
		Advice bool   `json:"advice"`
	}
	type part struct {
		Name     string    `json:"name"`
		OK       bool      `json:"ok"`
		Fine     []string  `json:"fine"`
		Problems []problem `json:"problems"`
	}
	all, _ := r.Counts()
	out := struct {
		OK    bool   `json:"ok"`
		Parts []part `json:"parts"`
	}{OK: all == 0, Parts: []part{}}
	for _, p := range r.Parts {
		n, _ := p.Counts()
		o := part{Name: p.Name, OK: n == 0, Fine: append([]string{}, p.Fine...), Problems: []problem{}}
		for _, found := range p.Problems {
			o.Problems = append(o.Problems, problem(found))
		}
		out.Parts = append(out.Parts, o)
	}
	return json.Marshal(out)
}
