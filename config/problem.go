package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one complaint about a configuration.
type Problem struct {
	// Key that is wrong; empty if the complaint is about the file as a whole.
	Key string
	// Where the value came from, as in Origins; empty if unknown.
	Where string
	// What is wrong, and what would be right.
	What string
}

// String writes the complaint in one line.
func (p Problem) String() string {
	s := p.What
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" && p.Where != FromDefault {
		s += " (from " + p.Where + ")"
	}
	return s
}

// Error holds every complaint about a configuration at once.
type Error struct{ Problems []Problem }

// Error writes one complaint a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration: %d complaints\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// problems collects complaints.
type problems struct{ list []Problem }

func (p *problems) addf(key, where, format string, args ...any) {
	p.list = append(p.list, Problem{Key: key, Where: where, What: fmt.Sprintf(format, args...)})
}

// join takes over the complaints of a service's Validate, each of the form
// "key: text", and adds where the value came from.
func (p *problems) join(err error, o Origins) {
	for _, err := range flatten(err) {
		key, what, ok := strings.Cut(err.Error(), ": ")
		if !ok || !isKey(key) {
			p.addf("", "", "%s", err)
			continue
		}
		leaf, _, _ := strings.Cut(key, "[")
		p.addf(key, o[leaf], "%s", what)
	}
}

// isKey reports whether s names a key, a section, or something inside a list.
func isKey(s string) bool {
	s, _, _ = strings.Cut(s, "[")
	return s == mappingKey || strings.HasPrefix(s, mappingKey+".") ||
		slices.ContainsFunc(leaves, func(l leaf) bool { return l.key == s || strings.HasPrefix(l.key, s+".") })
}

// err is nil if there was nothing to complain about. Complaints are sorted by
// key, and told once.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return &Error{Problems: slices.Compact(p.list)}
}

// flatten takes apart what errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	if inner := errors.Unwrap(err); inner != nil && inner.Error() == err.Error() {
		return flatten(inner)
	}
	return []error{err}
}

// Merge makes one *Error of several: what edge and publisher complain about
// alike is told once. It is nil if all of errs are.
func Merge(errs ...error) error {
	var p problems
	for _, err := range errs {
		if all, ok := errors.AsType[*Error](err); ok {
			p.list = append(p.list, all.Problems...)
			continue
		}
		p.join(err, nil)
	}
	return p.err()
}
