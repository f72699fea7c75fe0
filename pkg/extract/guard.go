package extract

import (
	"errors"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// Kubernetes' cost counts the steps of an expression, but some single steps can
// be as large as one likes: a list that holds another one twice, which is held
// twice in turn, has an exponential number of values, and comparing it with
// another is one step. So here every list and map that an expression makes is
// weighed, and functions whose work is not linear are checked before they run.

const (
	// maxNodes is how many values the lists and maps that one evaluation makes
	// may hold in all.
	maxNodes = 1_000_000
	// hiddenVariable is the name of the activation within itself; no
	// expression can spell it.
	hiddenVariable = "@activation"
)

// errLimit is the error of a function that would do too much.
var errLimit = errors.New("limit exceeded")

// bounded returns the decorator that puts the limits into a program. folds are
// the ids of its comprehensions.
func bounded(folds map[int64]bool) interpreter.InterpretableDecoratorV2 {
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		switch node := i.(type) {
		case interpreter.InterpretableConst, interpreter.InterpretableAttribute:
		case interpreter.InterpretableConstructor:
			return boundConstructor(node), nil
		case interpreter.InterpretableCall:
			switch node.Function() {
			case operators.Add, "getQuery":
				return &boundCall{node}, nil
			case "matches", "find", "findAll":
				return boundRegex(node)
			}
		default:
			if folds[i.ID()] {
				return &boundNode{i}, nil
			}
		}
		return i, nil
	}
}

// boundConstructor bounds a list or map literal. A constant is left, or made, a
// constant.
func boundConstructor(node interpreter.InterpretableConstructor) interpreter.InterpretableV2 {
	variables := 0
	for _, v := range node.InitVals() {
		if _, ok := v.(interpreter.InterpretableConst); !ok {
			variables++
		}
	}
	if node.Type() == types.ListType && variables < 2 {
		return node // it can not multiply what it holds
	}
	if variables == 0 {
		if v := node.Eval(interpreter.EmptyActivation()); !types.IsError(v) {
			return interpreter.NewConstValue(node.ID(), ordered(v))
		}
	}
	return &boundLiteral{node}
}

type boundLiteral struct {
	interpreter.InterpretableConstructor
}

func (n *boundLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return made(frame, n.InterpretableConstructor.Exec(frame))
}

func (n *boundLiteral) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

type boundCall struct {
	interpreter.InterpretableCall
}

func (n *boundCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return made(frame, n.InterpretableCall.Exec(frame))
}

func (n *boundCall) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

type boundNode struct {
	interpreter.InterpretableV2
}

func (n *boundNode) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return made(frame, n.InterpretableV2.Exec(frame))
}

func (n *boundNode) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

// made weighs v, which the expression has just made, and puts it into order.
func made(frame *interpreter.ExecutionFrame, v ref.Val) ref.Val {
	switch v.(type) {
	case traits.MutableLister, traits.MutableMapper:
		return v // of a comprehension under way; its result comes by again
	case traits.Lister, traits.Mapper, *types.Optional:
	default:
		return v
	}
	if hidden, ok := frame.ResolveName(hiddenVariable); ok {
		if a, ok := hidden.(*activation); ok {
			w := weight(v, maxNodes-a.nodes)
			if a.nodes += w; a.nodes >= maxNodes {
				panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: errLimit.Error()})
			}
		}
	}
	return ordered(v)
}

// weight returns how many values v holds, itself included, and stops at limit.
func weight(v any, limit int) int {
	if limit <= 0 {
		return 0
	}
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, elem := range v {
			if n += weight(elem, limit-n); n >= limit {
				return limit
			}
		}
	case []any:
		for _, elem := range v {
			if n += weight(elem, limit-n); n >= limit {
				return limit
			}
		}
	case *objectMap:
		return weight(v.elems, limit)
	case *objectList:
		return weight(v.elems, limit)
	case orderedMap:
		return weight(v.Mapper, limit)
	case *types.Optional:
		if v.HasValue() {
			return weight(v.GetValue(), limit)
		}
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			if n += weight(v.Get(it.Next()), limit-n); n >= limit {
				return limit
			}
		}
	case traits.Lister:
		size, _ := v.Size().(types.Int)
		for i := types.Int(0); i < size; i++ {
			if n += weight(v.Get(i), limit-n); n >= limit {
				return limit
			}
		}
	}
	return n
}
