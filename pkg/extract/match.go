package extract

import (
	"github.com/google/cel-go/common/types"
)

// matchField is the field of a target that a match is.
const matchField = "spec.match"

// Match is a compiled condition on objects. It never changes and is safe for
// concurrent use.
type Match struct {
	expression *celExpression
}

// CompileMatch compiles a CEL expression over `object` that returns a boolean.
// Its error is a *MatchError.
func CompileMatch(expression string) (*Match, error) {
	c, fail := compileCEL(expression)
	if fail == nil && c.output.Kind() != types.BoolKind && c.output.Kind() != types.DynKind {
		mend := "compare it with something"
		if isOptional(c.output) {
			mend = "end it with .orValue(false)"
		}
		fail = failf(WrongType, "the expression returns %s, not a boolean; %s", c.output, mend)
	}
	if fail != nil {
		return nil, matchError(fail)
	}
	return &Match{expression: c}, nil
}

// Matches says whether the object fulfils the condition. Its error is a
// *MatchError; the answer beside it is false. The object must not change
// meanwhile; nothing of it is kept.
func (m *Match) Matches(object map[string]any) (matches bool, err error) {
	defer func() {
		if recover() != nil { // its text may hold values
			matches, err = false, matchError(errPanic)
		}
	}()
	v, fail := m.expression.run(object)
	if fail != nil {
		return false, matchError(fail)
	}
	v = scalar(v)
	if matches, ok := v.(bool); ok {
		return matches, nil
	}
	return false, matchError(failf(WrongType, "the expression returns %s, not a boolean; compare it with something", kindOf(v)))
}

func matchError(fail *failure) error {
	return &MatchError{Reason: fail.reason, Message: fail.message(matchField)}
}
