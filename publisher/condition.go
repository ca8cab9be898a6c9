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
type condition func(*scope) bool

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
func compileCondition(source string, cols *columns, stateOnly bool) (condition, error) {
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
	holds := c.boolean(tree.Node)
	return holds, errors.Join(c.errs...)
}

type conditionCompiler struct {
	columns   *columns
	stateOnly bool
	errs      []error
}

func (c *conditionCompiler) fail(format string, args ...any) condition {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
	return nil
}

// boolean compiles a node that must be true or false.
func (c *conditionCompiler) boolean(node ast.Node) condition {
	switch n := node.(type) {
	case *ast.BoolNode:
		value := n.Value
		return func(*scope) bool { return value }
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" {
			return c.fail("operator %q gives no true or false", n.Operator)
		}
		inner := c.boolean(n.Node)
		return func(s *scope) bool { return !inner(s) }
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

func (c *conditionCompiler) binary(n *ast.BinaryNode) condition {
	switch n.Operator {
	case "and", "&&":
		left, right := c.boolean(n.Left), c.boolean(n.Right)
		return func(s *scope) bool { return left(s) && right(s) }
	case "or", "||":
		left, right := c.boolean(n.Left), c.boolean(n.Right)
		return func(s *scope) bool { return left(s) || right(s) }
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n.Operator, n.Left, n.Right)
	case "in":
		return c.membership(n)
	}
	return c.fail("operator %q is not known here; there are ==, !=, <, <=, >, >=, in, and, or, not", n.Operator)
}

// membership compiles column in ["a", "b"].
func (c *conditionCompiler) membership(n *ast.BinaryNode) condition {
	array, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return c.fail("in wants a list of constants, for example status in [\"confirmed\", \"cancelled\"]")
	}
	choices := make([]condition, 0, len(array.Nodes))
	for _, item := range array.Nodes {
		choices = append(choices, c.comparison("==", n.Left, item))
	}
	return func(s *scope) bool {
		return slices.ContainsFunc(choices, func(equal condition) bool { return equal(s) })
	}
}

func (c *conditionCompiler) call(n *ast.CallNode) condition {
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
			return func(s *scope) bool { return s.inserted }
		}
		return func(s *scope) bool { return s.deleted }
	case "changed", "set":
		column, ok := c.argument(name, n.Arguments)
		switch {
		case !ok:
			return nil
		case name == "set":
			return func(s *scope) bool { return s.value(column).Valid }
		case c.stateOnly:
			return c.speaksOfChange("changed()")
		}
		return func(s *scope) bool { return s.changed(column) }
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

func (c *conditionCompiler) unknownFunction(name string) condition {
	return c.fail("unknown function %s(); there are inserted(), deleted(), changed(column) and set(column)", name)
}

func (c *conditionCompiler) speaksOfChange(what string) condition {
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
