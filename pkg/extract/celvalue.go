package extract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// adapter makes CEL values of the values in an unstructured object, and makes
// every map iterate in the order of its keys.
type adapter struct{ base types.Adapter }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case string:
		return types.String(v)
	case int64:
		return types.Int(v)
	case float64:
		return types.Double(v)
	case bool:
		return types.Bool(v)
	case nil:
		return types.NullValue
	case map[string]any:
		return &objectMap{v}
	case []any:
		return &objectList{adapter: a, elems: v}
	}
	return ordered(a.base.NativeToValue(v))
}

// native is the adapter where none is at hand: for the values of objects it
// needs no base.
var native = adapter{base: types.DefaultTypeAdapter}

// objectMap is a map inside an object. It never changes.
type objectMap struct{ elems map[string]any }

var _ traits.Mapper = (*objectMap)(nil)
var _ traits.Foldable = (*objectMap)(nil)

func (m *objectMap) mapper() traits.Mapper { return types.NewStringInterfaceMap(native, m.elems) }

func (m *objectMap) ConvertToNative(t reflect.Type) (any, error) {
	return m.mapper().ConvertToNative(t)
}
func (m *objectMap) ConvertToType(t ref.Type) ref.Val {
	if t == types.MapType {
		return m
	}
	return m.mapper().ConvertToType(t)
}

func (m *objectMap) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Mapper)
	if !ok || o.Size() != m.Size() {
		return types.False
	}
	for key, elem := range m.elems {
		v, found := o.Find(types.String(key))
		if !found || types.Equal(native.NativeToValue(elem), v) == types.False {
			return types.False
		}
	}
	return types.True
}

func (m *objectMap) Type() ref.Type    { return types.MapType }
func (m *objectMap) Value() any        { return m.elems }
func (m *objectMap) Size() ref.Val     { return types.Int(len(m.elems)) }
func (m *objectMap) IsZeroValue() bool { return len(m.elems) == 0 }

func (m *objectMap) Contains(key ref.Val) ref.Val {
	_, found := m.Find(key)
	return types.Bool(found)
}

func (m *objectMap) Find(key ref.Val) (ref.Val, bool) {
	if key, ok := key.(types.String); ok {
		v, found := m.elems[string(key)]
		if !found {
			return nil, false
		}
		return native.NativeToValue(v), true
	}
	return m.mapper().Find(key)
}

func (m *objectMap) Get(key ref.Val) ref.Val {
	if v, found := m.Find(key); found || v != nil {
		return v
	}
	return types.ValOrErr(key, "no such key: %v", key)
}

func (m *objectMap) Iterator() traits.Iterator {
	keys := sortedKeys(m.elems)
	values := make([]ref.Val, len(keys))
	for i, key := range keys {
		values[i] = types.String(key)
	}
	return &keyIterator{keys: values}
}

func (m *objectMap) Fold(f traits.Folder) {
	for _, key := range sortedKeys(m.elems) {
		if !f.FoldEntry(key, m.elems[key]) {
			return
		}
	}
}

// objectList is a list inside an object. It never changes.
type objectList struct {
	adapter adapter
	elems   []any
}

var _ traits.Lister = (*objectList)(nil)
var _ traits.Foldable = (*objectList)(nil)

func (l *objectList) lister() traits.Lister { return types.NewDynamicList(l.adapter, l.elems) }

func (l *objectList) ConvertToNative(t reflect.Type) (any, error) {
	return l.lister().ConvertToNative(t)
}
func (l *objectList) ConvertToType(t ref.Type) ref.Val {
	if t == types.ListType {
		return l
	}
	return l.lister().ConvertToType(t)
}

func (l *objectList) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	for i, elem := range l.elems {
		if types.Equal(native.NativeToValue(elem), o.Get(types.Int(i))) == types.False {
			return types.False
		}
	}
	return types.True
}

func (l *objectList) Type() ref.Type                 { return types.ListType }
func (l *objectList) Value() any                     { return l.elems }
func (l *objectList) Add(other ref.Val) ref.Val      { return l.lister().Add(other) }
func (l *objectList) Contains(value ref.Val) ref.Val { return l.lister().Contains(value) }
func (l *objectList) Iterator() traits.Iterator      { return l.lister().Iterator() }
func (l *objectList) Size() ref.Val                  { return types.Int(len(l.elems)) }
func (l *objectList) IsZeroValue() bool              { return len(l.elems) == 0 }
func (l *objectList) Get(index ref.Val) ref.Val {
	if i, ok := index.(types.Int); ok && i >= 0 && int(i) < len(l.elems) {
		return l.adapter.NativeToValue(l.elems[i])
	}
	return l.lister().Get(index)
}

func (l *objectList) Fold(f traits.Folder) {
	for i, elem := range l.elems {
		if !f.FoldEntry(int64(i), elem) {
			return
		}
	}
}

// orderedMap is a map that an expression made, iterated in the order of its
// keys: Go's own order would make results differ from run to run.
type orderedMap struct{ traits.Mapper }

var _ traits.Foldable = orderedMap{}
var _ traits.Zeroer = orderedMap{}

// ordered returns v, as an orderedMap if it is a map that is not yet ordered. A
// map has no order, and is an error, if it has keys that nothing tells apart,
// such as two quantities: cel-go looks only at where they are in memory.
func ordered(v ref.Val) ref.Val {
	switch m := v.(type) {
	case *objectMap, orderedMap, traits.MutableMapper:
		return v
	case traits.Mapper:
		om := orderedMap{m}
		if om.repeats() {
			return types.NewErrWithNodeID(-1, "a map has two equal keys")
		}
		return om
	}
	return v
}

func (m orderedMap) repeats() bool {
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		switch it.Next().(type) {
		case types.String, types.Int, types.Uint, types.Bool: // these are told apart
		default:
			keys := m.keys()
			return len(slices.CompactFunc(keys, func(a, b ref.Val) bool { return compareKeys(a, b) == 0 })) < len(keys)
		}
	}
	return false
}

func (m orderedMap) keys() []ref.Val {
	var keys []ref.Val
	for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// IsZeroValue implements traits.Zeroer.
func (m orderedMap) IsZeroValue() bool { return m.Size() == types.IntZero }

// Iterator implements traits.Iterable.
func (m orderedMap) Iterator() traits.Iterator { return &keyIterator{keys: m.keys()} }

// Fold implements traits.Foldable.
func (m orderedMap) Fold(f traits.Folder) {
	for _, key := range m.keys() {
		if !f.FoldEntry(key, m.Get(key)) {
			return
		}
	}
}

// compareKeys orders map keys by type, then value.
func compareKeys(a, b ref.Val) int {
	if c := strings.Compare(a.Type().TypeName(), b.Type().TypeName()); c != 0 {
		return c
	}
	if comparer, ok := a.(traits.Comparer); ok {
		if c, ok := comparer.Compare(b).(types.Int); ok && c != 0 {
			return int(c)
		}
	}
	// Such as quantities, and equal times in different zones.
	if c := strings.Compare(fmt.Sprint(scalar(a)), fmt.Sprint(scalar(b))); c != 0 {
		return c
	}
	return strings.Compare(fmt.Sprint(a.Value()), fmt.Sprint(b.Value()))
}

type keyIterator struct {
	opaque
	keys []ref.Val
}

func (it *keyIterator) HasNext() ref.Val { return types.Bool(len(it.keys) > 0) }

func (it *keyIterator) Next() ref.Val {
	if len(it.keys) == 0 {
		return nil
	}
	next := it.keys[0]
	it.keys = it.keys[1:]
	return next
}

var errIterator = errors.New("an iterator is no value")

// opaque is the part of ref.Val that no one asks of an iterator.
type opaque struct{}

func (opaque) ConvertToNative(reflect.Type) (any, error) { return nil, errIterator }
func (opaque) ConvertToType(ref.Type) ref.Val            { return types.WrapErr(errIterator) }
func (opaque) Equal(ref.Val) ref.Val                     { return types.WrapErr(errIterator) }
func (opaque) Type() ref.Type                            { return types.IteratorType }
func (opaque) Value() any                                { return nil }
