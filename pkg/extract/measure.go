package extract

import (
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// length is the length of a string or bytes, otherwise 0.
func length(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	}
	return 0
}

// padding is how many digits the clauses of a format ask for, such as 9 for
// %.9f; it stops at limit.
func padding(v ref.Val, limit int) int {
	text, _ := v.(types.String)
	_, clause, more := strings.Cut(string(text), "%.")
	n := 0
	for more && n < limit {
		digits := 0
		for i := 0; i < len(clause) && '0' <= clause[i] && clause[i] <= '9'; i++ {
			digits = min(10*digits+int(clause[i]-'0'), limit)
		}
		n = min(n+digits, limit)
		_, clause, more = strings.Cut(clause, "%.")
	}
	return n
}

// digits is about how many digits a quantity that is written as v is computed
// with. An unusual exponent counts tenfold: what is done with the quantity later
// is not paid by its size.
func digits(v ref.Val) int {
	const usualExponent = 30
	s, _ := v.(types.String)
	exponent := int64(0)
	if i := strings.LastIndexAny(string(s), "eE"); i >= 0 {
		exponent, _ = strconv.ParseInt(string(s[i+1:]), 10, 32) // 0 if none, the largest if larger
	}
	return len(s) + 10*max(0, int(max(exponent, -exponent))-usualExponent)
}

func textCost(args []ref.Val) int {
	n := 0
	for _, arg := range args {
		n += length(arg)
	}
	return n / textPerCost
}

// size is the number of elements of a list or map, otherwise 0. What a
// comprehension collects is not read when something is added to it.
func size(v ref.Val) int {
	switch v.(type) {
	case traits.MutableLister, traits.MutableMapper:
		return 0
	}
	if !container(v) {
		return 0
	}
	if sizer, ok := v.(traits.Sizer); ok {
		n, _ := sizer.Size().(types.Int)
		return int(n)
	}
	return 0
}

func container(v ref.Val) bool {
	switch v.(type) {
	case traits.Lister, traits.Mapper, *types.Optional:
		return true
	}
	return false
}

// replacedLength is the length of the result of replace, if all is replaced.
func replacedLength(args []ref.Val) int {
	if len(args) < 3 {
		return 0
	}
	s, _ := args[0].(types.String)
	from, _ := args[1].(types.String)
	to, _ := args[2].(types.String)
	return len(s) + strings.Count(string(s), string(from))*max(0, len(to)-len(from))
}

// weight is how many values v holds, itself included, with long strings as
// several; it stops at limit.
func weight(v any, limit int) int {
	const textPerValue = 64
	n := 1
	add := func(elem any) bool {
		n += weight(elem, limit-n)
		return n < limit
	}
	switch v := v.(type) {
	case string:
		n += len(v) / textPerValue
	case types.String:
		n += len(v) / textPerValue
	case types.Bytes:
		n += len(v) / textPerValue
	case map[string]any:
		for _, elem := range v {
			if !add(elem) {
				break
			}
		}
	case []any:
		for _, elem := range v {
			if !add(elem) {
				break
			}
		}
	case *types.Optional:
		if v.HasValue() {
			add(v.GetValue())
		}
	case *objectMap:
		return weight(v.elems, limit)
	case *objectList:
		return weight(v.elems, limit)
	case orderedMap:
		return weight(v.Mapper, limit)
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True && add(v.Get(it.Next())); {
		}
	case traits.Lister:
		for i, size := types.Int(0), v.Size().(types.Int); i < size && add(v.Get(i)); i++ {
		}
	}
	return max(0, min(n, limit))
}

// text is about the length of v as text; it stops at limit.
func text(v any, limit int) int {
	const other = 16
	n := 0
	add := func(elem any) bool {
		n += text(elem, limit-n)
		return n < limit
	}
	switch v := v.(type) {
	case types.String:
		n = len(v)
	case types.Bytes:
		n = len(v)
	case orderedMap:
		return text(v.Mapper, limit)
	case traits.Mapper:
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			if !add(key) || !add(v.Get(key)) {
				break
			}
		}
	case traits.Lister:
		for i, size := types.Int(0), v.Size().(types.Int); i < size && add(v.Get(i)); i++ {
		}
	default:
		n = other
	}
	return max(0, min(n+1, limit))
}
