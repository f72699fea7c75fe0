package inventory

import (
	"context"
	"io"
	"iter"
	"slices"
	"strconv"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
)

// List returns the selected objects of one state: the newest, or that which the
// options ask for.
func (s *store[T]) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	selected := newSelection(ctx, options)
	page, err := newPage(selected, s.kind.names().scope, options)
	if err != nil {
		return nil, err
	}
	state, err := s.stateOf(ctx, page)
	if err != nil {
		return nil, err
	}
	result, err := s.listOf(ctx, state, selected, page)
	if err != nil {
		return nil, err
	}
	s.store.Hold(state)
	return result, nil
}

func (s *store[T]) listOf(ctx context.Context, state *inventory.State, selected *selection, page *page) (*list[T], error) {
	place, matches := s.kind.place(selected), s.kind.matcher(selected)
	if err := s.kind.check(state, selected, place); err != nil {
		return nil, err
	}
	result := &list[T]{of: s, shape: s.kind.shape(state, place), table: tableOf(ctx), warning: s.kind.staleness(state, place)}
	if result.table != nil {
		result.warn(ctx)
	}
	result.ResourceVersion = strconv.FormatUint(state.Version, 10)
	scan := s.kind.scan(state, place, page.from)
	limit := page.options.Predicate.Limit
	if limit == 0 {
		result.objects, result.blocks = scan, s.kind.blocks(state, place, page.from)
		if !selected.all() {
			result.blocks = nil
			result.objects = filter(scan, matches)
		}
		return result, nil
	}
	objects, more, err := take(ctx, scan, matches, limit)
	if err != nil {
		return nil, err
	}
	result.objects = slices.Values(objects)
	if more {
		last := objects[len(objects)-1].key()
		var count int64 // from the page's start; known only if all is selected
		if selected.all() {
			count = limit + int64(s.kind.count(state, place, last+"\x00"))
		}
		result.Continue, result.RemainingItemCount, err = storage.PrepareContinueToken(
			"/"+last, page.prefix, int64(state.Version), count, true, page.options)
	}
	return result, err
}

func filter[T object](objects iter.Seq[T], matches func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for object := range objects {
			if matches(object) && !yield(object) {
				return
			}
		}
	}
}

// take returns the first objects that match, and whether there is one after
// them, which need not match.
func take[T object](ctx context.Context, objects iter.Seq[T], matches func(T) bool, limit int64) (taken []T, more bool, err error) {
	seen := 0
	for object := range objects {
		if int64(len(taken)) == limit {
			return taken, true, nil
		}
		if seen++; seen%4096 == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if matches(object) {
			taken = append(taken, object)
		}
	}
	return taken, false, nil
}

// list is a list for the API server's encoders. It makes its objects when they
// are wanted, so that a list of any length takes little memory. To that end it
// is a runtime.Unstructured: of those, and only those, apimachinery asks for
// items one by one.
type list[T object] struct {
	metav1.ListMeta
	// Items is always empty. It is here for those who look for it to tell lists
	// from other objects.
	Items []runtime.Object

	of      *store[T]
	objects iter.Seq[T]
	blocks  iter.Seq[block[T]] // the same, if they are by leaves
	shape   *shape
	table   *metav1.TableOptions // of the table that is wanted; nil: the API list
	warning string               // for those who look at a table
}

var (
	_ runtime.CacheableObject = &list[row]{}
	_ runtime.Unstructured    = &list[row]{}
	_ metav1.ListInterface    = &list[row]{}
)

// CacheEncode writes JSON without typed objects.
func (l *list[T]) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	if id == l.of.json {
		return l.writeJSON(w)
	}
	return encode(l.GetObject(), w)
}

// GetObject returns the API list.
func (l *list[T]) GetObject() runtime.Object {
	return l.of.kind.typedList(*l.ListMeta.DeepCopy(), l.objects)
}

// EachListItem calls fn with the items in order.
func (l *list[T]) EachListItem(fn func(runtime.Object) error) error {
	for object := range l.objects {
		if err := fn(l.of.item(object)); err != nil {
			return err
		}
	}
	return nil
}

// EachListItemWithAlloc is EachListItem.
func (l *list[T]) EachListItemWithAlloc(fn func(runtime.Object) error) error {
	return l.EachListItem(fn)
}

func (l *list[T]) IsList() bool                     { return true }
func (l *list[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns a copy that shares the objects, which never change.
func (l *list[T]) DeepCopyObject() runtime.Object {
	c := *l
	c.ListMeta = *l.ListMeta.DeepCopy()
	return &c
}

// NewEmptyInstance returns a list without objects.
func (l *list[T]) NewEmptyInstance() runtime.Unstructured {
	return &list[T]{of: l.of, objects: func(func(T) bool) {}}
}

// UnstructuredContent returns the API list as its JSON says.
func (l *list[T]) UnstructuredContent() map[string]any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(l.GetObject())
	if err != nil {
		return map[string]any{}
	}
	return content
}

// SetUnstructuredContent does nothing: the list is read only.
func (l *list[T]) SetUnstructuredContent(map[string]any) {}
