package extract

import (
	"k8s.io/client-go/util/jsonpath"
)

const (
	// MaxJSONPathBytes is the longest JSONPath expression.
	MaxJSONPathBytes = 1024
	// MaxJSONPathSteps is how many values one evaluation may visit.
	MaxJSONPathSteps = 1_000_000
)

// jsonPath is a compiled JSONPath expression, safe for concurrent use. It is
// parsed by client-go and evaluated here: client-go's evaluator keeps state,
// iterates maps in random order and has no limit.
type jsonPath struct {
	path  *path // nil unless the expression is a plain path
	nodes []jsonpath.Node
	// single says that no object gives more than one value.
	single bool
}

// compileJSONPath accepts what kubectl -o jsonpath accepts, as long as it is
// one expression in braces.
func compileJSONPath(expression string) (*jsonPath, *failure) {
	if len(expression) > MaxJSONPathBytes {
		return nil, failf(InvalidExpression, "the expression is longer than %d bytes; shorten it", MaxJSONPathBytes)
	}
	parser, fail := parseJSONPath(expression)
	if fail != nil {
		return nil, fail
	}
	if len(parser.Root.Nodes) != 1 {
		return nil, errNotOne
	}
	list, ok := parser.Root.Nodes[0].(*jsonpath.ListNode)
	if !ok {
		return nil, errNotOne
	}
	var c jsonPathChecker
	if fail := c.selection(list.Nodes); fail != nil {
		return nil, fail
	}
	if c.recursions > 1 {
		return nil, failf(InvalidExpression, "more than one recursive descent (..) is too costly; name the fields, or use cel")
	}
	j := &jsonPath{nodes: list.Nodes, single: true}
	var steps []step
	plain := len(list.Nodes) > 0
	for _, node := range list.Nodes {
		s, single, ok := jsonPathStep(node)
		steps = append(steps, s)
		j.single = j.single && single
		plain = plain && ok
	}
	if plain {
		j.path = newPath(steps)
	}
	return j, nil
}

var errNotOne = failf(InvalidExpression, "give exactly one expression in braces and nothing around it, such as {.spec.replicas}")

func parseJSONPath(expression string) (parser *jsonpath.Parser, fail *failure) {
	defer func() {
		if recover() != nil { // the parser slices its input without looking
			fail = failf(InvalidExpression, "the expression can not be parsed; write it as for kubectl -o jsonpath")
		}
	}()
	parser, err := jsonpath.Parse("attribute", expression)
	if err != nil {
		return nil, failf(InvalidExpression, "%s; write it as for kubectl -o jsonpath", clip(err.Error(), maxMessage/2))
	}
	return parser, nil
}

// jsonPathStep returns the step that the node is, if it is one, and whether it
// selects at most one value.
func jsonPathStep(node jsonpath.Node) (s step, single, ok bool) {
	switch node := node.(type) {
	case *jsonpath.FieldNode:
		return step{field: node.Value}, true, node.Value != ""
	case *jsonpath.ArrayNode:
		first := node.Params[0]
		single := first.Known && node.Params[1].Derived && !node.Params[2].Known
		return step{index: first.Value}, single, single && first.Value >= 0
	}
	return step{}, false, false
}

// jsonPathChecker refuses what has no meaning for an attribute.
type jsonPathChecker struct{ recursions int }

// selection checks nodes that select values from an object.
func (c *jsonPathChecker) selection(nodes []jsonpath.Node) *failure {
	for _, node := range nodes {
		switch node := node.(type) {
		case *jsonpath.FieldNode, *jsonpath.WildcardNode:
		case *jsonpath.RecursiveNode:
			c.recursions++
		case *jsonpath.ArrayNode:
			if step := node.Params[2]; step.Known && step.Value <= 0 {
				return failf(InvalidExpression, "the step of a slice must be above 0")
			}
		case *jsonpath.UnionNode:
			for _, list := range node.Nodes {
				if fail := c.selection(list.Nodes); fail != nil {
					return fail
				}
			}
		case *jsonpath.FilterNode:
			if fail := c.filter(node); fail != nil {
				return fail
			}
		case *jsonpath.IdentifierNode:
			return failf(InvalidExpression, "%q is not supported; select fields, with [*] for all of a list", clip(node.Name, 64))
		default:
			return failf(InvalidExpression, "a constant is not supported; select fields, such as {.spec.replicas}")
		}
	}
	return nil
}

func (c *jsonPathChecker) filter(node *jsonpath.FilterNode) *failure {
	switch node.Operator {
	case "exists", "==", "!=", "<", "<=", ">", ">=":
	default:
		return failf(InvalidExpression, "the filter operator %q is unknown; use one of == != < <= > >=", clip(node.Operator, 64))
	}
	for _, side := range []*jsonpath.ListNode{node.Left, node.Right} {
		if _, ok := constant(side); ok {
			continue
		}
		if fail := c.selection(side.Nodes); fail != nil {
			return fail
		}
	}
	return nil
}

// constant returns the value of a side of a filter that is a constant.
func constant(side *jsonpath.ListNode) (any, bool) {
	if len(side.Nodes) != 1 {
		return nil, false
	}
	switch node := side.Nodes[0].(type) {
	case *jsonpath.TextNode:
		return node.Text, true
	case *jsonpath.IntNode:
		return int64(node.Value), true
	case *jsonpath.FloatNode:
		return node.Value, true
	case *jsonpath.BoolNode:
		return node.Value, true
	}
	return nil, false
}

// run evaluates the expression. A value of an expression that may select
// several is a results.
func (j *jsonPath) run(object map[string]any) (any, *failure) {
	if j.path != nil {
		if v, fail, fits := j.path.walk(object); fits {
			return v, fail
		}
	}
	return j.evaluate(object)
}

// results are the values of an expression that may select several; never empty.
type results []any

func (j *jsonPath) evaluate(object map[string]any) (any, *failure) {
	var w jsonPathWalk
	found, fail := w.list([]any{object}, j.nodes)
	switch {
	case fail != nil:
		return nil, fail
	case len(found) == 0:
		return nil, errNothingSelected
	case j.single:
		return found[0], nil
	}
	return results(found), nil
}

var errNothingSelected = failf(NotFound, "the expression selects nothing in the object; set optional: true, or correct it")
