package extract

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxRegexStates bounds a regular expression by the states of its automaton.
	maxRegexStates = 10_000
	// regexWorkPerCost is how many states times bytes are one unit of cost.
	regexWorkPerCost = 40
)

// boundRegex returns a call of matches, find or findAll, whose work is the size
// of the regular expression times what is read of the string, as one that pays
// for that. A constant regular expression is compiled once.
func boundRegex(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	n := &paidRegex{InterpretableCall: call, args: call.Args()}
	if pattern, ok := n.args[1].(interpreter.InterpretableConst); ok {
		if text, ok := pattern.Value().(types.String); ok {
			compiled, err := compileRegex(string(text))
			if err != nil {
				return nil, err
			}
			n.constant = compiled
		}
	}
	return n, nil
}

type paidRegex struct {
	interpreter.InterpretableCall
	args     []interpreter.InterpretableV2
	constant *boundedRegex
}

func (n *paidRegex) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(n.args))
	for i, arg := range n.args {
		if args[i] = arg.Exec(frame); types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	return types.LabelErrNode(n.ID(), n.call(stateOf(frame), args))
}

func (n *paidRegex) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

func (n *paidRegex) call(state *activation, args []ref.Val) ref.Val {
	s, ok := args[0].(types.String)
	pattern, ok2 := args[1].(types.String)
	if !ok || !ok2 {
		return types.NewErr("no such overload: %s", n.Function())
	}
	re := n.constant
	if re == nil {
		state.pay(1 + len(pattern))
		var err error
		if re, err = compileRegex(string(pattern)); err != nil {
			return types.WrapErr(err)
		}
		state.pay(re.states)
	}
	switch n.Function() {
	case "matches":
		state.pay(1 + len(s)*re.states/regexWorkPerCost)
		return types.Bool(re.MatchString(string(s)))
	case "find":
		state.pay(1 + len(s)*re.states/regexWorkPerCost)
		return types.String(re.FindString(string(s)))
	}
	limit := types.Int(-1)
	if len(args) > 2 {
		if limit, ok = args[2].(types.Int); !ok {
			return types.NewErr("no such overload: %s", n.Function())
		}
	}
	found, err := re.findAll(state, string(s), int(limit))
	if err != nil {
		return types.WrapErr(err)
	}
	state.pay(len(found))
	return types.NewStringList(native, found)
}

// errRegexTooLarge is a regular expression of too many states.
var errRegexTooLarge = fmt.Errorf("a regular expression has more than %d states", maxRegexStates)

type boundedRegex struct {
	*regexp.Regexp
	states int
	// next is the expression's continuation, made when it is needed.
	next func() (*regexp.Regexp, error)
}

func compileRegex(pattern string) (*boundedRegex, error) {
	if len(pattern) > maxRegexStates {
		return nil, errRegexTooLarge
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	n := states(tree)
	if n > maxRegexStates {
		return nil, errRegexTooLarge
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	text := tree.String() // unlike pattern, it can stand in a group
	next := sync.OnceValues(func() (*regexp.Regexp, error) { return continuation(text) })
	return &boundedRegex{Regexp: re, states: n, next: next}, nil
}

// states is about the number of states of the expression's automaton.
func states(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	if re.Op == syntax.OpCharClass {
		n = 1
	}
	for _, sub := range re.Sub {
		n += states(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}
