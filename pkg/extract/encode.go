package extract

import (
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// encoder appends canonical JSON: keys sorted, no space between tokens.
type encoder struct {
	buf   []byte
	limit int // of len(buf)
}

func (e *encoder) value(v any, depth int) *failure {
	if depth > MaxAttributeDepth {
		return errTooDeep
	}
	switch v := scalar(v).(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		if len(v) > e.limit-len(e.buf) {
			return errTooLarge
		}
		e.buf = inventory.AppendJSONString(e.buf, v)
	case bool, int64, uint64:
		e.buf = appendText(e.buf, v)
	case float64:
		if !finite(v) {
			return mismatch(v, kollectv1alpha1.AttributeJSON)
		}
		e.buf = appendFloat(e.buf, v)
	case []any:
		return e.list(len(v), func(i int) any { return v[i] }, depth)
	case traits.Lister:
		size, _ := v.Size().(types.Int)
		return e.list(int(size), func(i int) any { return v.Get(types.Int(i)) }, depth)
	case map[string]any:
		return e.object(v, depth)
	case traits.Mapper:
		return e.mapper(v, depth)
	default:
		return mismatch(v, kollectv1alpha1.AttributeJSON)
	}
	return e.check()
}

func (e *encoder) check() *failure {
	if len(e.buf) > e.limit {
		return errTooLarge
	}
	return nil
}

func (e *encoder) list(size int, at func(int) any, depth int) *failure {
	e.buf = append(e.buf, '[')
	for i := range size {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if fail := e.value(at(i), depth+1); fail != nil {
			return fail
		}
	}
	e.buf = append(e.buf, ']')
	return e.check()
}

func (e *encoder) key(first bool, key string) {
	if !first {
		e.buf = append(e.buf, ',')
	}
	e.buf = inventory.AppendJSONString(e.buf, key)
	e.buf = append(e.buf, ':')
}

func (e *encoder) object(m map[string]any, depth int) *failure {
	e.buf = append(e.buf, '{')
	for i, key := range sortedKeys(m) {
		e.key(i == 0, key)
		if fail := e.value(m[key], depth+1); fail != nil {
			return fail
		}
	}
	e.buf = append(e.buf, '}')
	return e.check()
}

func (e *encoder) mapper(m traits.Mapper, depth int) *failure {
	values := make(map[string]ref.Val)
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		var text string
		switch k := scalar(key).(type) {
		case string:
			text = k
		case bool, int64, uint64:
			text = string(appendText(nil, k))
		default:
			return failf(WrongType, "a key of the map is %s; use strings", kindOf(k))
		}
		if _, ok := values[text]; ok {
			return failf(WrongType, "two keys of the map have the same text; use strings")
		}
		values[text] = m.Get(key)
	}
	e.buf = append(e.buf, '{')
	for i, key := range sortedKeys(values) {
		e.key(i == 0, key)
		if fail := e.value(values[key], depth+1); fail != nil {
			return fail
		}
	}
	e.buf = append(e.buf, '}')
	return e.check()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
