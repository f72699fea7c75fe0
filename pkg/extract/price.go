package extract

import (
	"math/bits"
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
