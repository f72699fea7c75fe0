package extract

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

const (
	// CELCostLimit is the limit of one evaluation's cost: Kubernetes' limit of a
	// call, about a tenth of a second. Costs are much as Kubernetes counts them,
	// but are paid before each step, and also for what is inside lists and maps.
	CELCostLimit = celconfig.PerCallLimit
	// MaxCELBytes is the longest CEL expression.
	MaxCELBytes = 4096
	// objectVariable is the object that an expression reads.
	objectVariable = "object"
)

// celEnvironment is what expressions are compiled and planned with.
type celEnvironment struct {
	env     *cel.Env
	planner *planner
}

// environmentOnce makes the environment of all expressions: Kubernetes' own, of
// the version that its API servers are compatible with, plus the object. It has
// no clock and no other input.
var environmentOnce = sync.OnceValues(func() (*celEnvironment, error) {
	// cel-go shares these two error values and writes a node into each at its
	// first use, without a lock; so they are used here first.
	types.LabelErrNode(-1, types.NoSuchOverloadErr())
	types.LabelErrNode(-1, types.Int(math.MaxInt64).ConvertToType(types.TimestampType))
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).NewExpressionsEnv()
	env, err := base.Extend(
		cel.Variable(objectVariable, cel.DynType),
		cel.CustomTypeAdapter(adapter{base: base.CELTypeAdapter()}),
	)
	if err != nil {
		return nil, fmt.Errorf("extend the CEL environment: %w", err)
	}
	planner, err := newPlanner(env)
	if err != nil {
		return nil, err
	}
	return &celEnvironment{env: env, planner: planner}, nil
})

// celExpression is a compiled CEL expression, safe for concurrent use.
type celExpression struct {
	path    *path // nil unless the expression is a plain path from object
	program interpreter.InterpretableV2
	info    *ast.SourceInfo
	output  *cel.Type
	// quiet says that no one reads which value is missing.
	quiet bool
}

func compileCEL(expression string) (c *celExpression, fail *failure) {
	defer func() {
		if recover() != nil { // cel-go's validators do, for some expressions
			c, fail = nil, failf(InvalidExpression, "the expression can not be checked; write it differently")
		}
	}()
	if len(expression) > MaxCELBytes {
		return nil, failf(InvalidExpression, "the expression is longer than %d bytes; shorten it", MaxCELBytes)
	}
	cel, err := environmentOnce()
	if err != nil {
		return nil, failf(InvalidExpression, "make the CEL environment: %v", err)
	}
	compiled, issues := check(cel.env, expression)
	if issues.Err() != nil {
		return nil, syntaxFailure(issues)
	}
	tree := compiled.NativeRep()
	folds, fail := inspect(tree)
	if fail != nil {
		return nil, fail
	}
	program, err := cel.planner.plan(tree, folds)
	if err != nil {
		return nil, failf(InvalidExpression, "%s; correct the expression", clip(err.Error(), maxMessage/2))
	}
	return &celExpression{
		path:    celPath(tree.Expr()),
		program: program,
		info:    tree.SourceInfo(),
		output:  compiled.OutputType(),
	}, nil
}

// syntaxFailure describes the first of the issues.
func syntaxFailure(issues *cel.Issues) *failure {
	for _, issue := range issues.Errors() {
		return failf(InvalidExpression, "line %d, column %d: %s; correct the expression",
			issue.Location.Line(), issue.Location.Column()+1, clip(issue.Message, maxMessage/2))
	}
	return failf(InvalidExpression, "%v; correct the expression", issues.Err())
}

// inspect returns the ids of the comprehensions, and refuses what can not be
// kept within the limits.
func inspect(tree *ast.AST) (folds map[int64]bool, fail *failure) {
	folds = make(map[int64]bool)
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			folds[e.ID()] = true
		case ast.StructKind:
			fail = failf(InvalidExpression, "messages such as %s{...} are not supported; use a map", e.AsStruct().TypeName())
		}
	}))
	return folds, fail
}

// celPath returns the path that e is, or nil.
func celPath(e ast.Expr) *path {
	var steps []step
	for {
		s, operand, ok := celStep(e)
		if !ok {
			break
		}
		steps = append(steps, s)
		e = operand
	}
	if len(steps) == 0 || e.Kind() != ast.IdentKind || e.AsIdent() != objectVariable {
		return nil
	}
	slices.Reverse(steps)
	return newPath(steps)
}

// celStep returns the step that e takes from its operand.
func celStep(e ast.Expr) (s step, operand ast.Expr, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		sel := e.AsSelect()
		return step{field: sel.FieldName()}, sel.Operand(), !sel.IsTestOnly()
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index || len(call.Args()) != 2 || call.Args()[1].Kind() != ast.LiteralKind {
			return step{}, nil, false
		}
		switch index := call.Args()[1].AsLiteral().(type) {
		case types.String:
			return step{field: string(index)}, call.Args()[0], index != ""
		case types.Int:
			return step{index: int(index)}, call.Args()[0], index >= 0
		}
	}
	return step{}, nil, false
}

// run evaluates the expression. The value is nil, of an unstructured object, or
// of CEL.
func (c *celExpression) run(object map[string]any) (any, *failure) {
	if c.path != nil {
		if v, fail, fits := c.path.walk(object); fits {
			return v, fail
		}
	}
	return c.evaluate(object)
}

// evaluate runs the program, which run does without for most paths.
func (c *celExpression) evaluate(object map[string]any) (v any, fail *failure) {
	defer func() {
		switch recover().(type) {
		case nil:
		case costExceeded:
			v, fail = nil, errCost
		default: // its text may hold values
			v, fail = nil, errPanic
		}
	}()
	frame, err := interpreter.NewExecutionFrame(&activation{object: object})
	if err != nil {
		return nil, errPanic // it takes any activation
	}
	defer frame.Close()
	out := c.program.Exec(frame)
	switch e := out.(type) {
	case *types.Err:
		return nil, c.runtimeFailure(e)
	}
	return out, nil
}

// runtimeFailure says what err is without repeating its text, which may hold
// values.
func (c *celExpression) runtimeFailure(err error) *failure {
	if errors.Is(err, errRegexTooLarge) {
		return errCost
	}
	text := err.Error()
	for _, known := range runtimeFailures {
		for _, prefix := range known.prefixes {
			switch {
			case !strings.HasPrefix(text, prefix):
			case c.quiet && known.reason == NotFound:
				return errQuiet
			default:
				return failf(known.reason, "%s%s; %s", known.detail, c.location(err), known.mend)
			}
		}
	}
	return failf(EvaluationFailed, "the evaluation failed%s; test the values first", c.location(err))
}

// location says where in the expression err arose, if that is known.
func (c *celExpression) location(err error) string {
	var located *types.Err
	if !errors.As(err, &located) {
		return ""
	}
	at := c.info.GetStartLocation(located.NodeID())
	if at.Line() <= 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d, column %d)", at.Line(), at.Column()+1)
}

// errPanic is a failure inside the libraries below.
var errPanic = failf(EvaluationFailed, "the evaluation failed inside; simplify the expression")

// errQuiet is a missing value that is not reported.
var errQuiet = failf(NotFound, "the object has no such field or index")

var errCost = failf(CostExceeded, "the expression costs more than %d; iterate over less, or select a part", CELCostLimit)

// runtimeFailures are cel-go's errors that say something about the object.
var runtimeFailures = []struct {
	prefixes []string
	reason   Reason
	detail   string
	mend     string
}{
	{
		prefixes: []string{"no such key", "no such attribute", "index out of bounds", "index out of range", "index '", "optional.none() dereference"},
		reason:   NotFound,
		detail:   "the object has no such field or index",
		mend:     "use .?field, has(), or optional: true",
	},
	{
		prefixes: []string{"no such overload", "unsupported index", "unsupported comprehension range", "got '", "found no matching overload"},
		reason:   WrongType,
		detail:   "a value in the object is not of the type that the expression needs",
		mend:     "test it with type()",
	},
	{
		prefixes: []string{"type conversion error", "invalid ", "strconv.", "unable to parse"},
		reason:   EvaluationFailed,
		detail:   "a value in the object can not be converted as the expression asks",
		mend:     "test it first",
	},
	{
		prefixes: []string{"division by zero", "modulus by zero", "integer overflow", "unsigned integer overflow", "timestamp overflow", "duration overflow"},
		reason:   EvaluationFailed,
		detail:   "a calculation has no result for this object",
		mend:     "test the values first",
	},
}
