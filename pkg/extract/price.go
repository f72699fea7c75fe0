package extract

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// price is how the cost of a function grows with its arguments. One unit is
// about a tenth of a microsecond, as for Kubernetes.
type price int

const (
	// perText: the strings and bytes among the arguments are read once.
	perText price = iota
	// perParse: they are parsed.
	perParse
	// fixed: the arguments are not read.
	fixed
	// perElement: the elements of the lists and maps are read once.
	perElement
	// perValue: the values in the arguments, however deep, are read once.
	perValue
	perComparison
	perSearch
	perPair
	perSort
	perProduct
	perReplacement
	perPiece
	perFormat
	perNumber
	perDigit
	perZone
)

// prices are the functions that do more, or less, than read their strings once.
var prices = map[string]price{
	"type": fixed, "dyn": fixed,
	"or": fixed, "orValue": fixed, "value": fixed, "hasValue": fixed, "first": fixed, "last": fixed,
	"optional.of": fixed, "optional.ofNonZeroValue": fixed,

	operators.Equals: perComparison, operators.NotEquals: perComparison,
	operators.In: perSearch, operators.OldIn: perSearch, "in": perSearch,
	"indexOf": perProduct, "lastIndexOf": perProduct,

	operators.Add: perElement, "slice": perElement, "reverse": perElement,
	"optional.unwrap": perElement, "unwrapOpt": perElement, "cel.@mapInsert": perElement,
	"flatten": perValue, "join": perValue, "sum": perValue, "min": perValue, "max": perValue, "isSorted": perValue,

	"sort": perSort, "@sortByAssociatedKeys": perSort,
	"distinct": perPair, "sets.contains": perPair, "sets.equivalent": perPair, "sets.intersects": perPair,

	"replace": perReplacement, "split": perPiece, "format": perFormat,
	"lists.range": perNumber, "quantity": perDigit, "isQuantity": perDigit,

	"validate": perParse, "url": perParse, "isURL": perParse, "ip": perParse, "isIP": perParse, "ip.isCanonical": perParse,
	"cidr": perParse, "isCIDR": perParse, "semver": perParse, "isSemver": perParse, "strings.quote": perParse,

	"getDate": perZone, "getDayOfMonth": perZone, "getDayOfWeek": perZone, "getDayOfYear": perZone,
	"getFullYear": perZone, "getHours": perZone, "getMilliseconds": perZone, "getMinutes": perZone,
	"getMonth": perZone, "getSeconds": perZone,
}

const (
	// textPerCost is how many bytes are read for one unit.
	textPerCost = 10
	// parseFactor is how much longer parsing takes than reading.
	parseFactor = 4
	// zoneCost is reading a time zone.
	zoneCost = 200
)

// of returns the price for the arguments, or any amount above limit.
func (p price) of(args []ref.Val, limit int) int {
	first, last := args[0], args[len(args)-1]
	switch p {
	case fixed:
		return 1
	case perParse:
		return 1 + parseFactor*textCost(args)
	case perElement:
		return 1 + size(first) + size(last) + textCost(args)
	case perValue:
		if separator, ok := last.(types.String); ok && len(args) > 1 {
			return 1 + weight(first, limit) + text(first, limit*textPerCost)/textPerCost + size(first)*len(separator)/textPerCost
		}
		return 1 + weight(first, limit) + text(first, limit*textPerCost)/textPerCost
	case perComparison:
		if container(first) && container(last) {
			return 1 + weight(first, weight(last, limit+1))
		}
		return 1 + min(length(first), length(last))/textPerCost
	case perSearch:
		return search(last, first, limit)
	case perPair:
		return 1 + min(size(first)*weight(last, limit), size(last)*weight(first, limit))
	case perSort:
		n := size(last)
		return 1 + (n+text(last, limit*textPerCost)/textPerCost)*bits.Len(uint(n))
	case perProduct:
		if container(first) {
			return search(first, args[1], limit)
		}
		return (1 + length(first)/textPerCost) * (1 + length(args[1])/textPerCost)
	case perReplacement:
		return 1 + (length(first)+replacedLength(args))/textPerCost
	case perPiece:
		s, _ := first.(types.String)
		separator, _ := args[1].(types.String)
		return 1 + len(s)/textPerCost + strings.Count(string(s), string(separator))
	case perFormat:
		return 1 + parseFactor*(length(first)+padding(first, limit*textPerCost)+text(last, limit*textPerCost))/textPerCost
	case perNumber:
		n, _ := first.(types.Int)
		return 1 + int(max(0, min(n, types.Int(limit+1))))
	case perDigit:
		n := digits(first) / textPerCost
		if n > limit {
			return limit + 1
		}
		return 1 + n + n*n
	case perZone:
		return 1 + zoneCost*(len(args)-1)
	case perText:
	}
	return 1 + textCost(args)
}

// search is the price of finding v in the elements of a list.
func search(list, v ref.Val, limit int) int {
	if _, ok := list.(traits.Mapper); ok {
		return 1 + length(v)/textPerCost
	}
	if container(v) {
		return 1 + weight(list, limit)
	}
	return 1 + size(list)*(1+length(v)/textPerCost)
}

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
