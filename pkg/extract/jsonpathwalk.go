package extract

import (
	"iter"

	"k8s.io/client-go/third_party/forked/golang/template"
	"k8s.io/client-go/util/jsonpath"
)

// jsonPathWalk is one evaluation. It selects what kubectl selects, also where
// that is odd: an expression can be tried with kubectl. It differs in that maps
// are visited in the order of their keys, that the bytes of a string are no
// values, and that null has no values instead of being an error of a filter.
type jsonPathWalk struct {
	steps int
}

var (
	errSteps      = failf(CostExceeded, "the expression visits more than %d values; select a part", MaxJSONPathSteps)
	errNotAList   = failf(WrongType, "a value in the object is not a list; correct the expression")
	errOutOfRange = failf(NotFound, "a list in the object has no such index; set optional: true, or correct it")
	errComparison = failf(WrongType, "a filter compares values of different types; write the constant as the field's type, quoted for a string")
	errCompareOne = failf(WrongType, "a filter compares more than one value; select one")
)

// visit pays for n values, before they are selected.
func (w *jsonPathWalk) visit(n int) *failure {
	w.steps += n
	if w.steps > MaxJSONPathSteps {
		return errSteps
	}
	return nil
}

// list selects with one node after the other. With a failure it returns what
// kubectl's evaluator goes on with inside a filter.
func (w *jsonPathWalk) list(input []any, nodes []jsonpath.Node) ([]any, *failure) {
	for _, node := range nodes {
		if fail := w.visit(1 + len(input)); fail != nil {
			return nil, fail
		}
		output, fail := w.node(input, node)
		if fail != nil {
			return output, fail
		}
		input = output
	}
	return input, nil
}

func (w *jsonPathWalk) node(input []any, node jsonpath.Node) ([]any, *failure) {
	switch node := node.(type) {
	case *jsonpath.FieldNode:
		var output []any
		for _, v := range input {
			if m, ok := v.(map[string]any); ok {
				if field, ok := m[node.Value]; ok {
					output = append(output, field)
				}
			}
		}
		return output, nil
	case *jsonpath.ArrayNode:
		return w.array(input, node)
	case *jsonpath.FilterNode:
		return w.filter(input, node)
	case *jsonpath.WildcardNode:
		var output []any
		for _, v := range input {
			inside, fail := w.children(v)
			if fail != nil {
				return nil, fail
			}
			output = append(output, inside...)
		}
		return output, nil
	case *jsonpath.RecursiveNode:
		return w.descend(nil, input)
	case *jsonpath.UnionNode:
		var output []any
		for _, list := range node.Nodes {
			found, fail := w.list(input, list.Nodes)
			if fail == nil {
				fail = w.visit(len(found))
			}
			if fail != nil {
				return input, fail
			}
			output = append(output, found...)
		}
		return output, nil
	}
	return nil, errNothingSelected // the checker lets no other node pass
}

// children are the values directly inside v.
func (w *jsonPathWalk) children(v any) ([]any, *failure) {
	switch v := v.(type) {
	case []any:
		return v, w.visit(len(v))
	case map[string]any:
		if fail := w.visit(len(v)); fail != nil {
			return nil, fail
		}
		values := make([]any, 0, len(v))
		for _, key := range sortedKeys(v) {
			values = append(values, v[key])
		}
		return values, nil
	}
	return nil, nil
}

// descend appends every list, map and string of the input that is not empty,
// each before what is inside it.
func (w *jsonPathWalk) descend(output, input []any) ([]any, *failure) {
	for _, v := range input {
		if s, ok := v.(string); ok && s != "" {
			output = append(output, s)
			continue
		}
		inside, fail := w.children(v)
		if fail != nil {
			return nil, fail
		}
		if len(inside) == 0 {
			continue
		}
		if output, fail = w.descend(append(output, v), inside); fail != nil {
			return nil, fail
		}
	}
	return output, nil
}

// lists yields the lists of the input, but nothing for null, and ends with a
// failure at what is no list.
func lists(input []any) iter.Seq2[[]any, *failure] {
	return func(yield func([]any, *failure) bool) {
		for _, v := range input {
			list, ok := v.([]any)
			switch {
			case v == nil:
			case !ok:
				yield(nil, errNotAList)
				return
			case !yield(list, nil):
				return
			}
		}
	}
}

func (w *jsonPathWalk) array(input []any, node *jsonpath.ArrayNode) ([]any, *failure) {
	var output []any
	for list, fail := range lists(input) {
		if fail != nil {
			return input, fail
		}
		start, end := bounds(node.Params, len(list))
		if start == end { // kubectl stops here, whatever lists follow
			return output, nil
		}
		if start < 0 || start >= len(list) || end < 0 || end > len(list) || start > end {
			return input, errOutOfRange
		}
		step := 1
		if node.Params[2].Known {
			step = min(node.Params[2].Value, len(list)) // more could overflow
		}
		if fail := w.visit(1 + (end-start-1)/step); fail != nil {
			return nil, fail
		}
		for i := start; i < end; i += step {
			output = append(output, list[i])
		}
	}
	return output, nil
}

// bounds returns the half-open range that the parameters say of a list.
func bounds(params [3]jsonpath.ParamsEntry, length int) (start, end int) {
	if params[0].Known {
		start = params[0].Value
	}
	if start < 0 {
		start += length
	}
	end = length
	if params[1].Known {
		end = params[1].Value
	}
	if end < 0 || (end == 0 && params[1].Derived) {
		end += length
	}
	return start, end
}

func (w *jsonPathWalk) filter(input []any, node *jsonpath.FilterNode) ([]any, *failure) {
	var output []any
	for list, fail := range lists(input) {
		if fail != nil {
			return input, fail
		}
		if fail := w.visit(len(list)); fail != nil {
			return nil, fail
		}
		for _, elem := range list {
			pass, fail := w.passes(elem, node)
			if fail != nil {
				return input, fail
			}
			if pass {
				output = append(output, elem)
			}
		}
	}
	return output, nil
}

func (w *jsonPathWalk) passes(elem any, node *jsonpath.FilterNode) (bool, *failure) {
	left, fail := w.side(elem, node.Left)
	if node.Operator == "exists" {
		if fail == errSteps {
			return false, fail
		}
		return len(left) > 0, nil // also after a failure, as kubectl does
	}
	if fail != nil {
		return false, fail
	}
	if len(left) == 0 {
		return false, nil
	}
	right, fail := w.side(elem, node.Right)
	if fail != nil {
		return false, fail
	}
	if len(left) > 1 || len(right) > 1 {
		return false, errCompareOne
	}
	if len(right) == 0 {
		return false, nil
	}
	return compare(left[0], node.Operator, right[0])
}

// side selects from the element, or returns the constant.
func (w *jsonPathWalk) side(elem any, side *jsonpath.ListNode) ([]any, *failure) {
	if v, ok := constant(side); ok {
		return []any{v}, w.visit(1)
	}
	return w.list([]any{elem}, side.Nodes)
}

func compare(left any, operator string, right any) (pass bool, fail *failure) {
	var err error
	switch operator {
	case "<":
		pass, err = template.Less(left, right)
	case "<=":
		pass, err = template.LessEqual(left, right)
	case ">":
		pass, err = template.Greater(left, right)
	case ">=":
		pass, err = template.GreaterEqual(left, right)
	case "==":
		pass, err = template.Equal(left, right)
	case "!=":
		pass, err = template.NotEqual(left, right)
	}
	if err != nil {
		return false, errComparison
	}
	return pass, nil
}
