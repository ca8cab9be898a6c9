package publisher

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// order of two values.
type order int8

const (
	less    order = -1
	same    order = 0
	greater order = 1
	// apart: different, and neither is less: a NULL and a value, or a number
	// and a text that is none.
	apart order = 2
	// bothNull: equal, and neither is less.
	bothNull order = 3
)

// operators tell which orders satisfy them. Whatever is compared with NULL by
// <, <=, > and >= is false, as in SQL; == and != know NULL.
var operators = map[string]func(order) bool{
	"==": func(o order) bool { return o == same || o == bothNull },
	"!=": func(o order) bool { return o != same && o != bothNull },
	"<":  func(o order) bool { return o == less },
	"<=": func(o order) bool { return o == less || o == same },
	">":  func(o order) bool { return o == greater },
	">=": func(o order) bool { return o == greater || o == same },
}

// mirrored operators, for a constant on the left.
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// comparison compiles a comparison of which at least one side is a column.
func (c *conditionCompiler) comparison(operator string, left, right ast.Node) *clause {
	l, ok := left.(*ast.IdentifierNode)
	if !ok {
		if l, ok = right.(*ast.IdentifierNode); !ok {
			return c.fail("%s %s %s: one side of a comparison must be a column", describe(left), operator, describe(right))
		}
		operator, right = mirrored[operator], left
	}
	column, err := c.columns.find(l.Value)
	if err != nil {
		c.fail("%w", err)
	}
	against, others := c.against(operator, right)
	if err != nil || against == nil {
		return nil
	}
	holds := operators[operator]
	return &clause{
		kind:    clauseState,
		columns: append([]int{column}, others...),
		holds:   func(s *scope) bool { return holds(against(s, s.value(column))) },
	}
}

// against compiles the right side of a comparison into the order of a value to
// it, nil if it cannot be one, and names the columns it reads.
func (c *conditionCompiler) against(operator string, node ast.Node) (against func(*scope, Value) order, reads []int) {
	equality := operator == "==" || operator == "!="
	switch n := node.(type) {
	case *ast.IdentifierNode:
		column, err := c.columns.find(n.Value)
		if err != nil {
			c.fail("%w", err)
			return nil, nil
		}
		return func(s *scope, v Value) order { return compareValues(v, s.value(column)) }, []int{column}
	case *ast.StringNode:
		text := Value{Text: n.Value, Valid: true}
		return func(_ *scope, v Value) order { return compareText(v, text) }, nil
	case *ast.NilNode:
		if equality {
			return func(_ *scope, v Value) order { return compareText(v, Value{}) }, nil
		}
	case *ast.BoolNode:
		if equality {
			want := n.Value
			return func(_ *scope, v Value) order { return compareBool(v, want) }, nil
		}
	default:
		if want, ok := constant(node); ok {
			return func(_ *scope, v Value) order { return compareNumber(v, want) }, nil
		}
		c.fail("%s cannot be compared with a column; compare with a column, a text, a number, true, false or nil", describe(node))
		return nil, nil
	}
	c.fail("%s is neither less nor greater than anything; use == or !=", map[bool]string{true: "nil", false: "true or false"}[isNil(node)])
	return nil, nil
}

func isNil(node ast.Node) bool { _, ok := node.(*ast.NilNode); return ok }

// constant reads a number with its sign.
func constant(node ast.Node) (number, bool) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return number{integer: int64(n.Value), float: float64(n.Value), whole: true}, true
	case *ast.FloatNode:
		return number{float: n.Value}, true
	case *ast.UnaryNode:
		value, ok := constant(n.Node)
		if ok && n.Operator == "-" {
			value.integer, value.float = -value.integer, -value.float
		}
		return value, ok && (n.Operator == "-" || n.Operator == "+")
	}
	return number{}, false
}

// compareValues compares two columns: as numbers if both are, else as text.
func compareValues(a, b Value) order {
	if a.Valid && b.Valid {
		if n, ok := parseNumber(b.Text); ok {
			if o := compareNumber(a, n); o != apart {
				return o
			}
		}
	}
	return compareText(a, b)
}

// compareText compares byte by byte.
func compareText(a, b Value) order {
	switch {
	case !a.Valid && !b.Valid:
		return bothNull
	case !a.Valid || !b.Valid:
		return apart
	}
	return order(strings.Compare(a.Text, b.Text))
}

func compareNumber(v Value, b number) order {
	a, ok := parseNumber(v.Text)
	switch {
	case !v.Valid || !ok:
		return apart
	case a.whole && b.whole:
		return order(cmp.Compare(a.integer, b.integer))
	}
	return order(cmp.Compare(a.float, b.float))
}

// compareBool knows how SQLite (1, 0) and Postgres (t, f) write booleans.
func compareBool(v Value, want bool) order {
	yes := v.Valid && (v.Text == "1" || v.Text == "t" || v.Text == "true")
	no := v.Valid && (v.Text == "0" || v.Text == "f" || v.Text == "false")
	if want && yes || !want && no {
		return same
	}
	return apart
}

// number is a decimal number; integer is exact if whole is set.
type number struct {
	integer int64
	float   float64
	whole   bool
}

// parseNumber reads what databases write for numbers, and nothing else that Go
// would read (hexadecimal, Inf, NaN).
func parseNumber(text string) (number, bool) {
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return number{}, false
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return number{integer: i, float: float64(i), whole: true}, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return number{float: f}, err == nil
}
