package extract

import (
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// activation is the state of one evaluation.
type activation struct {
	object map[string]any
	cost   int
}

// ResolveName implements interpreter.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	if name == objectVariable {
		return a.object, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// stateOf returns the evaluation that the frame belongs to, or nil while
// constants are folded.
func stateOf(frame *interpreter.ExecutionFrame) *activation {
	for vars := frame.Activation; vars != nil; vars = vars.Parent() {
		if state, ok := vars.(*activation); ok {
			return state
		}
	}
	return nil
}

// costExceeded is what an evaluation panics with at its limit.
type costExceeded struct{}

// pay ends the evaluation if it can not pay.
func (a *activation) pay(cost int) {
	if a == nil {
		return
	}
	if a.cost += cost; a.cost > CELCostLimit {
		panic(costExceeded{})
	}
}

// left is what the evaluation can still pay.
func (a *activation) left() int {
	if a == nil {
		return CELCostLimit
	}
	return CELCostLimit - a.cost
}

// made pays for the values in v, which the expression has just made, and puts
// its keys into order.
func (a *activation) made(v ref.Val) ref.Val {
	switch v.(type) {
	case traits.MutableLister, traits.MutableMapper:
		return v // of a comprehension under way; its result comes by again
	case traits.Lister, traits.Mapper:
		a.pay(weight(v, a.left()+1))
		return ordered(v)
	}
	return v
}
