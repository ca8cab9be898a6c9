package publisher

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// condition tells whether something holds for a change.
type condition struct {
	// holds judges a change of which all is known that it asks for; what is not
	// is left in scope.lacking.
	holds func(*scope) bool
	// root is the same as a tree, for changes of which not all is known.
	root *clause
}

// of judges a change. If it depends on a column that the source did not give it
// does not hold, and the column is left in s.lacking (unless s.unknown).
func (c *condition) of(s *scope) bool {
	if s.lacking != "" {
		return false // the change is refused already
	}
	holds := c.holds(s)
	if s.lacking == "" {
		return holds
	}
	return c.weigh(s) == yes
}

// may is of for a condition that must rather be taken to hold.
func (c *condition) may(s *scope) bool {
	holds := c.holds(s)
	if s.lacking == "" {
		return holds
	}
	return c.weigh(s) != no
}

// weigh judges part by part, because what is not known may not matter.
func (c *condition) weigh(s *scope) truth {
	truth := c.root.judge(s.truth)
	if truth != maybe || s.unknown {
		s.lacking = ""
	}
	return truth
}

// maxCondition bounds the length of a condition in bytes, and with it how deep
// the parser may nest.
const maxCondition = 4096

// compileCondition turns a condition such as
//
//	inserted() || changed(status) and status in ["confirmed", "cancelled"]
//
// into code. Syntax and parser are expr-lang's; the evaluation is not, because
// its operators know neither NULL nor numbers in text, and because a node that
// is not understood here must be refused, not quietly be false. stateOnly
// refuses what speaks of a change rather than of a row. The error joins all
// that is wrong.
func compileCondition(source string, cols *columns, stateOnly bool) (*condition, error) {
	if len(source) > maxCondition {
		return nil, fmt.Errorf("the condition is %d bytes long, at most %d are allowed", len(source), maxCondition)
	}
	tree, err := parser.Parse(source)
	if err != nil {
		if at, ok := errors.AsType[*file.Error](err); ok {
			return nil, fmt.Errorf("%s at character %d of %q", at.Message, at.From+1, source)
		}
		return nil, fmt.Errorf("%q: %w", source, err)
	}
	c := &conditionCompiler{columns: cols, stateOnly: stateOnly}
	root := c.boolean(tree.Node)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return &condition{holds: root.compile(), root: root}, nil
}

type conditionCompiler struct {
	columns   *columns
	stateOnly bool
	errs      []error
}

func (c *conditionCompiler) fail(format string, args ...any) *clause {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
	return nil
}

// boolean compiles a node that must be true or false; nil if it is wrong.
func (c *conditionCompiler) boolean(node ast.Node) *clause {
	switch n := node.(type) {
	case *ast.BoolNode:
		return &clause{kind: clauseConstant, value: n.Value}
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" {
			return c.fail("operator %q gives no true or false", n.Operator)
		}
		return &clause{kind: clauseNot, left: c.boolean(n.Node)}
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.unknownFunction(n.Name)
	case *ast.IdentifierNode:
		if _, err := c.columns.find(n.Value); err != nil {
			return c.fail("%w", err)
		}
		return c.fail("column %s is no condition by itself; write set(%[1]s), changed(%[1]s) or a comparison", n.Value)
	}
	return c.fail("%s is no condition; use inserted(), deleted(), changed(column), set(column), comparisons, and, or, not", describe(node))
}

func (c *conditionCompiler) binary(n *ast.BinaryNode) *clause {
	switch n.Operator {
	case "and", "&&":
		return &clause{kind: clauseAnd, left: c.boolean(n.Left), right: c.boolean(n.Right)}
	case "or", "||":
		return &clause{kind: clauseOr, left: c.boolean(n.Left), right: c.boolean(n.Right)}
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n.Operator, n.Left, n.Right)
	case "in":
		return c.membership(n)
	}
	return c.fail("operator %q is not known here; there are ==, !=, <, <=, >, >=, in, and, or, not", n.Operator)
}

// membership compiles column in ["a", "b"].
func (c *conditionCompiler) membership(n *ast.BinaryNode) *clause {
	array, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return c.fail("in wants a list of constants, for example status in [\"confirmed\", \"cancelled\"]")
	}
	if len(array.Nodes) == 0 {
		return &clause{kind: clauseConstant}
	}
	in := &clause{kind: clauseState}
	choices := make([]func(*scope) bool, 0, len(array.Nodes))
	for _, item := range array.Nodes {
		if equal := c.comparison("==", n.Left, item); equal != nil {
			choices = append(choices, equal.holds)
			in.columns = append(in.columns, equal.columns...)
		}
	}
	in.holds = func(s *scope) bool {
		return slices.ContainsFunc(choices, func(equal func(*scope) bool) bool { return equal(s) })
	}
	return in
}

func (c *conditionCompiler) call(n *ast.CallNode) *clause {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.fail("only inserted(), deleted(), changed(column) and set(column) can be called")
	}
	switch name := callee.Value; name {
	case "inserted", "deleted":
		if len(n.Arguments) != 0 {
			return c.fail("%s() takes no argument", name)
		}
		if c.stateOnly {
			return c.speaksOfChange(name + "()")
		}
		if name == "inserted" {
			return &clause{kind: clauseInserted}
		}
		return &clause{kind: clauseDeleted}
	case "changed", "set":
		column, ok := c.argument(name, n.Arguments)
		switch {
		case !ok:
			return nil
		case name == "set":
			return &clause{kind: clauseState, columns: []int{column}, holds: func(s *scope) bool { return s.value(column).Valid }}
		case c.stateOnly:
			return c.speaksOfChange("changed()")
		}
		return &clause{kind: clauseChanged, columns: []int{column}}
	default:
		return c.unknownFunction(name)
	}
}

// argument is the one bare column name that changed and set take.
func (c *conditionCompiler) argument(function string, args []ast.Node) (int, bool) {
	if len(args) != 1 {
		c.fail("%s() takes one column, for example %[1]s(status)", function)
		return 0, false
	}
	name, ok := args[0].(*ast.IdentifierNode)
	if !ok {
		c.fail("%s() takes a bare column name, for example %[1]s(status), not %s", function, describe(args[0]))
		return 0, false
	}
	column, err := c.columns.find(name.Value)
	if err != nil {
		c.fail("%w", err)
		return 0, false
	}
	return column, true
}

func (c *conditionCompiler) unknownFunction(name string) *clause {
	return c.fail("unknown function %s(); there are inserted(), deleted(), changed(column) and set(column)", name)
}

func (c *conditionCompiler) speaksOfChange(what string) *clause {
	return c.fail("%s speaks of a change, but this is judged on the row as it is; use set(column) or a comparison", what)
}

// describe names a node for an error.
func describe(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.IdentifierNode:
		return "column " + n.Value
	case *ast.BuiltinNode:
		return n.Name + "()"
	case *ast.CallNode:
		return "a call"
	case *ast.NilNode:
		return "nil"
	case *ast.ConditionalNode:
		return "a choice (?:)"
	case *ast.MemberNode, *ast.SliceNode, *ast.ChainNode:
		return "a part of a value"
	case *ast.ArrayNode, *ast.MapNode:
		return "a list or map"
	}
	return "this expression"
}
