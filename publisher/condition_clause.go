package publisher

// clauseKind is what a clause asks.
type clauseKind uint8

const (
	clauseConstant clauseKind = iota
	clauseAnd
	clauseOr
	clauseNot
	// clauseInserted, clauseDeleted and clauseChanged ask what happened.
	clauseInserted
	clauseDeleted
	clauseChanged
	// clauseState asks what the row is now.
	clauseState
)

// clause is a node of a condition.
type clause struct {
	kind clauseKind
	// left and right of and, or; left of not.
	left, right *clause
	// value of a constant.
	value bool
	// columns that a state reads, or the one that changed().
	columns []int
	// holds judges a state.
	holds func(*scope) bool
}

// compile turns the tree into code: a change costs one call per clause that
// decides it.
func (c *clause) compile() func(*scope) bool {
	switch c.kind {
	case clauseAnd:
		left, right := c.left.compile(), c.right.compile()
		return func(s *scope) bool { return left(s) && right(s) }
	case clauseOr:
		left, right := c.left.compile(), c.right.compile()
		return func(s *scope) bool { return left(s) || right(s) }
	case clauseNot:
		inner := c.left.compile()
		return func(s *scope) bool { return !inner(s) }
	case clauseInserted:
		return func(s *scope) bool { return s.inserted }
	case clauseDeleted:
		return func(s *scope) bool { return s.deleted }
	case clauseChanged:
		column := c.columns[0]
		return func(s *scope) bool { return s.changed(column) }
	case clauseState:
		return c.holds
	}
	value := c.value
	return func(*scope) bool { return value }
}

// truth of a clause of which not all may be known.
type truth int8

const (
	no    truth = -1
	maybe truth = 0
	yes   truth = 1
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// judge finds the truth of the tree from that of its leaves: what is decided
// without the unknown is decided.
func (c *clause) judge(leaf func(*clause) truth) truth {
	switch c.kind {
	case clauseConstant:
		return truthOf(c.value)
	case clauseAnd:
		return min(c.left.judge(leaf), c.right.judge(leaf))
	case clauseOr:
		return max(c.left.judge(leaf), c.right.judge(leaf))
	case clauseNot:
		return -c.left.judge(leaf)
	}
	return leaf(c)
}

// undecided visits the leaves on which a tree that may be true depends.
func (c *clause) undecided(leaf func(*clause) truth, visit func(*clause)) {
	if c.judge(leaf) != maybe {
		return
	}
	switch c.kind {
	case clauseAnd, clauseOr:
		c.left.undecided(leaf, visit)
		c.right.undecided(leaf, visit)
	case clauseNot:
		c.left.undecided(leaf, visit)
	default:
		visit(c)
	}
}

// leaves visits all leaves; negated tells those under an odd number of nots.
func (c *clause) leaves(negated bool, visit func(leaf *clause, negated bool)) {
	switch c.kind {
	case clauseAnd, clauseOr:
		c.left.leaves(negated, visit)
		c.right.leaves(negated, visit)
	case clauseNot:
		c.left.leaves(!negated, visit)
	default:
		visit(c, negated)
	}
}
