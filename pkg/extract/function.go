package extract

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxStringBytes is the longest string that a function may make of shorter
	// ones.
	maxStringBytes = 4 << 20
	// maxPairs is how many values one call may compare with each other.
	maxPairs = 1_000_000
)

// guarded are the functions whose work or result is not linear in their
// arguments, by overload, and whether given arguments are too much for them.
var guarded = map[string]func(args []ref.Val) bool{
	"string_replace_string_string":     replaceTooLong,
	"string_replace_string_string_int": replaceTooLong,
	"list_join":                        joinTooLong,
	"list_join_string":                 joinTooLong,
	"string_format":                    func(args []ref.Val) bool { return formatBytes(args) >= maxStringBytes },
	"list_distinct":                    func(args []ref.Val) bool { return pairs(args) > maxPairs },
	"list_sets_contains_list":          func(args []ref.Val) bool { return pairs(args) > maxPairs },
	"list_sets_equivalent_list":        func(args []ref.Val) bool { return pairs(args) > maxPairs },
	"list_sets_intersects_list":        func(args []ref.Val) bool { return pairs(args) > maxPairs },
}

// replaced are the functions that do the same as Kubernetes', in linear time.
var replaced = map[string]functions.FunctionOp{
	"string_index_of_string":          indexOf,
	"string_index_of_string_int":      indexOf,
	"string_last_index_of_string":     lastIndexOf,
	"string_last_index_of_string_int": lastIndexOf,
}

// guards returns the declarations of the guarded and replaced functions of the
// environment. It is an error if there is no such function.
func guards(env *cel.Env) ([]cel.EnvOption, error) {
	var options []cel.EnvOption
	found := 0
	for name, function := range env.Functions() {
		bindings, err := function.Bindings()
		if err != nil {
			return nil, fmt.Errorf("read the bindings of %s: %w", name, err)
		}
		for _, overload := range function.OverloadDecls() {
			op := replaced[overload.ID()]
			if tooMuch := guarded[overload.ID()]; tooMuch != nil {
				op = guard(binding(bindings, overload.ID()), tooMuch)
			}
			if op == nil {
				continue
			}
			found++
			declaration, err := redeclare(name, overload, op)
			if err != nil {
				return nil, fmt.Errorf("guard %s: %w", overload.ID(), err)
			}
			options = append(options, cel.FunctionDecls(declaration))
		}
	}
	if want := len(guarded) + len(replaced); found != want {
		return nil, fmt.Errorf("the environment has %d of %d functions to guard", found, want)
	}
	return options, nil
}

// binding returns the implementation of the overload, for any number of
// arguments.
func binding(bindings []*functions.Overload, id string) functions.FunctionOp {
	for _, b := range bindings {
		switch {
		case b.Operator != id:
		case b.Unary != nil:
			return func(args ...ref.Val) ref.Val { return b.Unary(args[0]) }
		case b.Binary != nil:
			return func(args ...ref.Val) ref.Val { return b.Binary(args[0], args[1]) }
		default:
			return b.Function
		}
	}
	return nil
}

func guard(op functions.FunctionOp, tooMuch func([]ref.Val) bool) functions.FunctionOp {
	if op == nil {
		return nil
	}
	return func(args ...ref.Val) ref.Val {
		if tooMuch(args) {
			return types.WrapErr(errLimit)
		}
		return op(args...)
	}
}

// redeclare returns the function with the one overload, bound to op.
func redeclare(name string, overload *decls.OverloadDecl, op functions.FunctionOp) (*decls.FunctionDecl, error) {
	var bind decls.OverloadOpt
	switch len(overload.ArgTypes()) {
	case 1:
		bind = decls.UnaryBinding(func(a ref.Val) ref.Val { return op(a) })
	case 2:
		bind = decls.BinaryBinding(func(a, b ref.Val) ref.Val { return op(a, b) })
	default:
		bind = decls.FunctionBinding(op)
	}
	declare := decls.Overload
	if overload.IsMemberFunction() {
		declare = decls.MemberOverload
	}
	return decls.NewFunction(name, declare(overload.ID(), overload.ArgTypes(), overload.ResultType(), bind))
}

func replaceTooLong(args []ref.Val) bool {
	s, _ := args[0].(types.String)
	from, _ := args[1].(types.String)
	to, _ := args[2].(types.String)
	count := strings.Count(string(s), string(from))
	return len(s)+count*(len(to)-len(from)) > maxStringBytes
}

func joinTooLong(args []ref.Val) bool {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return false
	}
	separator := 0
	if len(args) > 1 {
		s, _ := args[1].(types.String)
		separator = len(s)
	}
	size, _ := list.Size().(types.Int)
	total := int(size) * separator
	for i := types.Int(0); i < size && total <= maxStringBytes; i++ {
		s, _ := list.Get(i).(types.String)
		total += len(s)
	}
	return total > maxStringBytes
}

// formatBytes is about the length of the format's result, or maxStringBytes if
// it is longer.
func formatBytes(args []ref.Val) int {
	format, _ := args[0].(types.String)
	return textBytes(args[1], maxStringBytes-len(format)) + len(format)
}

// textBytes is about the length of v as text, or limit if it is longer.
func textBytes(v ref.Val, limit int) int {
	const scalarBytes = 16
	n := 0
	add := func(elem ref.Val) bool {
		n += textBytes(elem, limit-n)
		return n < limit
	}
	switch v := v.(type) {
	case types.String:
		n = len(v)
	case types.Bytes:
		n = len(v)
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			if !add(key) || !add(v.Get(key)) {
				return limit
			}
		}
	case traits.Lister:
		size, _ := v.Size().(types.Int)
		for i := types.Int(0); i < size; i++ {
			if !add(v.Get(i)) {
				return limit
			}
		}
	}
	return min(n+scalarBytes, max(limit, 0))
}

// pairs is how many values the call compares, at most.
func pairs(args []ref.Val) int {
	a := args[0]
	b := args[len(args)-1]
	return min(size(a)*weight(b, maxNodes), size(b)*weight(a, maxNodes))
}

func size(v ref.Val) int {
	if sizer, ok := v.(traits.Sizer); ok {
		n, _ := sizer.Size().(types.Int)
		return int(n)
	}
	return 1
}

// indexOf is the index, in code points, of the first occurrence of args[1] in
// args[0], from the index in args[2] on if there is one; or -1.
func indexOf(args ...ref.Val) ref.Val {
	s, sub, offset, err := searchArguments(args, 0)
	if err != nil {
		return err
	}
	length := utf8.RuneCountInString(s)
	if sub == "" {
		return types.Int(min(offset, length))
	}
	if offset >= length {
		return types.Int(-1)
	}
	start := byteIndex(s, offset)
	at := strings.Index(s[start:], sub)
	if at < 0 {
		return types.Int(-1)
	}
	return types.Int(offset + utf8.RuneCountInString(s[start:start+at]))
}

// lastIndexOf is the index, in code points, of the last occurrence of args[1]
// in args[0] that starts at the index in args[2] or before, if there is one; or
// -1.
func lastIndexOf(args ...ref.Val) ref.Val {
	const end = int(^uint(0) >> 1)
	s, sub, offset, err := searchArguments(args, end)
	if err != nil {
		return err
	}
	length := utf8.RuneCountInString(s)
	if sub == "" {
		return types.Int(min(offset, length))
	}
	if offset >= length {
		if len(args) > 2 {
			return types.Int(-1)
		}
		offset = length
	}
	stop := min(byteIndex(s, offset)+len(sub), len(s))
	at := strings.LastIndex(s[:stop], sub)
	if at < 0 {
		return types.Int(-1)
	}
	return types.Int(utf8.RuneCountInString(s[:at]))
}

func searchArguments(args []ref.Val, offset int) (s, sub string, at int, err ref.Val) {
	str, ok := args[0].(types.String)
	find, ok2 := args[1].(types.String)
	if !ok || !ok2 {
		return "", "", 0, types.NoSuchOverloadErr()
	}
	if len(args) > 2 {
		from, ok := args[2].(types.Int)
		if !ok {
			return "", "", 0, types.NoSuchOverloadErr()
		}
		if from < 0 {
			return "", "", 0, types.NewErr("index out of range: %d", from)
		}
		offset = int(from)
	}
	return string(str), string(find), offset, nil
}

// byteIndex is the index of the byte at which code point n of s starts.
func byteIndex(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// costs adds to Kubernetes' cost of functions what they do inside lists and
// maps.
func costs() cel.ProgramOption {
	var options []interpreter.CostTrackerOption
	for overload, work := range map[string]func(args []ref.Val) (int, bool){
		overloads.Equals:            compareWork,
		overloads.NotEquals:         compareWork,
		overloads.InList:            searchWork,
		"list_a_index_of_int":       searchWork,
		"list_a_last_index_of_int":  searchWork,
		"list_distinct":             pairWork,
		"list_sets_contains_list":   pairWork,
		"list_sets_equivalent_list": pairWork,
		"list_sets_intersects_list": pairWork,
		"string_format":             func(args []ref.Val) (int, bool) { return formatBytes(args) / 10, true },
	} {
		options = append(options, interpreter.OverloadCostTracker(overload, func(args []ref.Val, _ ref.Val) *uint64 {
			n, ok := work(args)
			if !ok {
				return nil // as Kubernetes counts it
			}
			cost := uint64(n + 1)
			return &cost
		}))
	}
	return cel.CostTrackerOptions(options...)
}

// compareWork counts comparing two lists or maps, by Kubernetes' factor for
// comparing bytes.
func compareWork(args []ref.Val) (int, bool) {
	if len(args) != 2 || !container(args[0]) || !container(args[1]) {
		return 0, false
	}
	return weight(args[0], weight(args[1], maxNodes)) / 10, true
}

// searchWork counts finding a list or map among the elements of a list.
func searchWork(args []ref.Val) (int, bool) {
	switch {
	case len(args) == 2 && container(args[0]) && container(args[1]):
		return max(size(args[0]), size(args[1])) + min(weight(args[0], maxNodes), weight(args[1], maxNodes)), true
	}
	return 0, false
}

func pairWork(args []ref.Val) (int, bool) { return 2 * pairs(args), true }

func container(v ref.Val) bool {
	switch v.(type) {
	case traits.Lister, traits.Mapper, *types.Optional:
		return true
	}
	return false
}
