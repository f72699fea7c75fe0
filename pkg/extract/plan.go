package extract

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// cel-go can count the cost of an evaluation, but only after each step, and a
// single step can be as large as one likes: a list that holds another one twice,
// which holds a third twice, has an exponential number of values, and comparing
// it with another is one step. Its count also takes time that is quadratic in
// the iterations. So programs are planned here, and pay before each step.

// planner plans programs. It is safe for concurrent use.
type planner struct {
	dispatcher  interpreter.Dispatcher
	interpreter interpreter.Interpreter
}

func newPlanner(env *cel.Env) (*planner, error) {
	dispatcher := interpreter.NewDispatcher()
	for name, function := range env.Functions() {
		bindings, err := function.Bindings()
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", name, err)
		}
		if err := dispatcher.Add(bindings...); err != nil {
			return nil, fmt.Errorf("bind %s: %w", name, err)
		}
	}
	attributes := interpreter.NewAttributeFactory(env.Container, env.CELTypeAdapter(), env.CELTypeProvider())
	return &planner{
		dispatcher:  dispatcher,
		interpreter: interpreter.NewInterpreter(dispatcher, env.Container, env.CELTypeProvider(), env.CELTypeAdapter(), attributes),
	}, nil
}

// plan returns the program of the checked expression. folds are the ids of its
// comprehensions.
func (p *planner) plan(tree *ast.AST, folds map[int64]bool) (program interpreter.InterpretableV2, err error) {
	defer func() {
		if r := recover(); r != nil { // such as a map literal with a list for a key
			err = fmt.Errorf("the expression has no meaning")
		}
	}()
	return p.interpreter.NewInterpretable(tree,
		interpreter.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
			switch node := i.(type) {
			case *paidAttribute, interpreter.InterpretableConst:
				return i, nil
			case interpreter.InterpretableAttribute:
				return &paidAttribute{InterpretableAttribute: node, cost: common.SelectAndIdentCost}, nil
			case interpreter.InterpretableConstructor:
				return paidConstructor(node), nil
			case interpreter.InterpretableCall:
				return p.paidCall(node)
			}
			if folds[i.ID()] {
				return &paidFold{i}, nil
			}
			return i, nil
		}),
		interpreter.Optimize(),
	)
}

// paidAttribute is the value of a variable or of a chain of fields and indexes.
type paidAttribute struct {
	interpreter.InterpretableAttribute
	cost int
}

// AddQualifier implements interpreter.InterpretableAttribute while planning.
func (n *paidAttribute) AddQualifier(q interpreter.Qualifier) (interpreter.Attribute, error) {
	n.cost += common.SelectAndIdentCost
	_, err := n.InterpretableAttribute.AddQualifier(q)
	return n, err
}

func (n *paidAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	stateOf(frame).pay(n.cost)
	return n.InterpretableAttribute.Exec(frame)
}

func (n *paidAttribute) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

// paidConstructor returns the list or map literal, as a constant if it is one.
func paidConstructor(node interpreter.InterpretableConstructor) interpreter.InterpretableV2 {
	constant := true
	for _, v := range node.InitVals() {
		if _, ok := v.(interpreter.InterpretableConst); !ok {
			constant = false
		}
	}
	if constant {
		if v := node.Eval(interpreter.EmptyActivation()); !types.IsError(v) {
			return interpreter.NewConstValue(node.ID(), ordered(v))
		}
	}
	cost := common.ListCreateBaseCost
	if node.Type() != types.ListType {
		cost = common.MapCreateBaseCost
	}
	return &paidLiteral{InterpretableConstructor: node, cost: cost}
}

type paidLiteral struct {
	interpreter.InterpretableConstructor
	cost int
}

func (n *paidLiteral) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	state := stateOf(frame)
	state.pay(n.cost)
	v := n.InterpretableConstructor.Exec(frame)
	if n.Type() == types.ListType && len(n.InitVals()) < 2 {
		return v // it can not multiply what it holds
	}
	return state.made(v)
}

func (n *paidLiteral) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

// paidFold is a comprehension; its iterations pay for themselves.
type paidFold struct {
	interpreter.InterpretableV2
}

func (n *paidFold) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	state := stateOf(frame)
	state.pay(1)
	return state.made(n.InterpretableV2.Exec(frame))
}

func (n *paidFold) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

// paidCall returns the call as one that pays for its arguments before it runs.
func (p *planner) paidCall(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	args := call.Args()
	if len(args) == 0 {
		return call, nil
	}
	n := &paidCall{InterpretableCall: call, args: args, price: prices[call.Function()]}
	switch call.Function() {
	case operators.Equals:
		n.impl = &functions.Overload{Binary: types.Equal}
		return n, nil
	case operators.NotEquals:
		n.impl = &functions.Overload{Binary: func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) }}
		return n, nil
	case "or", "orValue": // the second argument is evaluated only if needed
		if len(args) == 2 {
			return &optionalOr{call}, nil
		}
	case "matches", "find", "findAll":
		if len(args) > 1 {
			return boundRegex(call)
		}
	}
	found := false
	if call.OverloadID() != "" {
		n.impl, found = p.dispatcher.FindOverload(call.OverloadID())
	}
	if !found {
		if n.impl, found = p.dispatcher.FindOverload(call.Function()); !found {
			return nil, fmt.Errorf("no such function: %s", call.Function())
		}
	}
	return n, nil
}

type paidCall struct {
	interpreter.InterpretableCall
	args  []interpreter.InterpretableV2
	impl  *functions.Overload
	price price
}

func (n *paidCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(n.args))
	for i, arg := range n.args {
		args[i] = arg.Exec(frame)
		if !n.impl.NonStrict && types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	state := stateOf(frame)
	state.pay(n.price.of(args, state.left()))
	return state.made(types.LabelErrNode(n.ID(), n.call(args)))
}

func (n *paidCall) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}

// call calls the function as cel-go does.
func (n *paidCall) call(args []ref.Val) ref.Val {
	impl := n.impl
	if impl.OperandTrait == 0 || (impl.NonStrict && types.IsUnknownOrError(args[0])) || args[0].Type().HasTrait(impl.OperandTrait) {
		switch {
		case len(args) == 1 && impl.Unary != nil:
			return impl.Unary(args[0])
		case len(args) == 2 && impl.Binary != nil:
			return impl.Binary(args[0], args[1])
		case impl.Function != nil:
			return impl.Function(args...)
		}
	}
	return types.NewErr("no such overload: %s", n.Function())
}

// optionalOr is a call of an optional's or, or orValue.
type optionalOr struct {
	interpreter.InterpretableCall
}

func (n *optionalOr) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := n.Args()
	first := args[0].Exec(frame)
	if types.IsUnknownOrError(first) {
		return first
	}
	optional, ok := first.(*types.Optional)
	switch {
	case !ok:
		return types.NewErrWithNodeID(n.ID(), "no such overload: %s", n.Function())
	case !optional.HasValue():
		return args[1].Exec(frame)
	case n.Function() == "orValue":
		return optional.GetValue()
	}
	return first
}

func (n *optionalOr) Eval(vars interpreter.Activation) ref.Val {
	return n.Exec(interpreter.AsFrame(vars))
}
