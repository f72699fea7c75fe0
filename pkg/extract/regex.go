package extract

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxRegexStates bounds a regular expression by the states of its automaton.
	maxRegexStates = 10_000
	// maxRegexWork bounds the states of an expression times the bytes that it is
	// matched with.
	maxRegexWork = 1 << 26
)

// boundRegex replaces a call of matches, find or findAll, whose work is the
// size of the expression times the size of the string, by one that is bounded.
// A constant expression is compiled once.
func boundRegex(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	args := call.Args()
	if len(args) < 2 {
		return call, nil
	}
	compile := compileRegex
	if pattern, ok := args[1].(interpreter.InterpretableConst); ok {
		text, ok := pattern.Value().(types.String)
		if !ok {
			return call, nil
		}
		compiled, err := compileRegex(string(text))
		if err != nil {
			return nil, err
		}
		compile = func(string) (*boundedRegex, error) { return compiled, nil }
		// Else Kubernetes' own optimization would replace the call again.
		args = append([]interpreter.InterpretableV2{args[0], notConstant{args[1]}}, args[2:]...)
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), args, regexOp(call.Function(), compile)), nil
}

// notConstant hides that an argument is a constant.
type notConstant struct{ interpreter.InterpretableV2 }

type boundedRegex struct {
	*regexp.Regexp
	states int
}

func compileRegex(pattern string) (*boundedRegex, error) {
	if len(pattern) > maxRegexStates {
		return nil, errLimit
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	n := states(tree)
	if n > maxRegexStates {
		return nil, errLimit
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	return &boundedRegex{Regexp: re, states: n}, nil
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

func regexOp(function string, compile func(string) (*boundedRegex, error)) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		s, ok := args[0].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(args[0])
		}
		pattern, ok := args[1].(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(args[1])
		}
		re, err := compile(string(pattern))
		if err != nil {
			return types.WrapErr(err)
		}
		if (len(s)+1)*re.states > maxRegexWork {
			return types.WrapErr(errLimit)
		}
		switch function {
		case "matches":
			return types.Bool(re.MatchString(string(s)))
		case "find":
			return types.String(re.FindString(string(s)))
		}
		n := types.Int(-1)
		if len(args) > 2 {
			if n, ok = args[2].(types.Int); !ok {
				return types.MaybeNoSuchOverloadErr(args[2])
			}
		}
		return types.NewStringList(native, re.FindAllString(string(s), int(n)))
	}
}
