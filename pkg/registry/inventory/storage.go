package inventory

import (
	"context"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/registry/access"
)

var (
	_ rest.Storage              = &store[row]{}
	_ rest.Scoper               = &store[row]{}
	_ rest.Getter               = &store[row]{}
	_ rest.Lister               = &store[row]{}
	_ rest.Watcher              = &store[row]{}
	_ rest.TableConvertor       = &store[row]{}
	_ rest.SingularNameProvider = &store[row]{}
	_ rest.ShortNamesProvider   = &store[row]{}
	_ rest.CategoriesProvider   = &store[row]{}
)

// freshness is how long a request for a version that is not there yet waits.
const freshness = 3 * time.Second

// New returns the storage of each resource by its name. Lists and objects that
// the serializer's JSON encoder asks for are written without an intermediate
// form. The authorizer says what callers may list, of which accessiblerows shows
// them the rows; it must not remember its answers, which are remembered here.
// Encodings, which is nil to keep none, are for nothing but the lists of this
// storage.
func New(
	s *inventory.Store, serializer runtime.NegotiatedSerializer, authorizer authorizer.UnconditionalAuthorizer, encodings *inventory.Encodings,
) map[string]rest.Storage {
	json := jsonIdentifier(serializer)
	rowsOf := func(scope inventory.Scope) *store[row] {
		rows := newStore(s, rows{scope}, json)
		rows.encodings = encodings
		return rows
	}
	return map[string]rest.Storage{
		"inventories":          newStore(s, heads{inventory.Namespaced}, json),
		"clusterinventories":   newStore(s, heads{inventory.Cluster}, json),
		"inventoryrows":        rowsOf(inventory.Namespaced),
		"clusterinventoryrows": rowsOf(inventory.Cluster),
		"accessiblerows":       newAccessible(s, access.New(s, authorizer, access.Options{}), json),

		"inventories/snapshot":        newSnapshots(s, inventory.Namespaced),
		"clusterinventories/snapshot": newSnapshots(s, inventory.Cluster),

		"inventories/diff":        &diffs{s, inventory.Namespaced},
		"clusterinventories/diff": &diffs{s, inventory.Cluster},
	}
}

// Counts returns how many objects each resource has now.
func Counts(state *inventory.State) map[schema.GroupResource]int {
	counts := map[schema.GroupResource]int{}
	for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
		heads, rows := heads{scope}.names(), rows{scope}.names()
		for snapshot := range state.Snapshots(scope, "") {
			counts[inventoryv1alpha1.Resource(heads.resource)]++
			counts[inventoryv1alpha1.Resource(rows.resource)] += snapshot.Len()
			counts[inventoryv1alpha1.Resource(accessibleRows{}.names().resource)] += snapshot.Len()
		}
	}
	return counts
}

// object is a served object as it lies in a snapshot. It never changes.
type object interface {
	// key returns namespace/name, or name in the cluster scope. Lists are
	// ordered by it.
	key() string
	meta() metav1.ObjectMeta
	// typed returns the API object, without kind and apiVersion.
	typed() runtime.Object
}

// kind is what differs between the resources.
type kind[T object] interface {
	names() names
	// place returns where the objects are that the selectors can match.
	place(*selection) place
	// scan yields the objects of the place from a key on, in the order of keys.
	scan(s *inventory.State, p place, from string) iter.Seq[T]
	// blocks yields the same objects, or is nil if they are in no leaves.
	blocks(s *inventory.State, p place, from string) iter.Seq[block[T]]
	// count returns how many objects scan yields.
	count(s *inventory.State, p place, from string) int
	// matcher returns a function that says whether an object is selected. It
	// must not be called concurrently.
	matcher(*selection) func(T) bool
	// check returns an error if the selection names a field that no object of the
	// place can have.
	check(s *inventory.State, selected *selection, p place) error
	// change returns what an event of this kind changes, and whether there was and
	// is an object. The version of before is that of the event.
	change(*inventory.Event) (before, after T, was, is bool)
	// field returns the value that field selectors find in an object, and labels
	// returns its labels as a JSON object.
	field(object T, name string) string
	labels(object T) string
	// typedList returns the API list.
	typedList(metav1.ListMeta, iter.Seq[T]) runtime.Object
	newObject() runtime.Object
	newList() runtime.Object
	// shape returns how tables of the place are shaped; nil has only the columns
	// of all objects.
	shape(*inventory.State, place) *shape
	// staleness returns a warning for those who look at a table of the place, or
	// nothing.
	staleness(*inventory.State, place) string
	// columns returns the table's columns.
	columns(*shape) []metav1.TableColumnDefinition
	// appender returns what encodes objects.
	appender() appender[T]
}

// names are what a resource is called.
type names struct {
	scope                               inventory.Scope
	kind, resource, singular, shortName string
	// categories has those of kubectl get: heads are in kollect, rows are not,
	// since there may be a million.
	categories []string
}

// typeMeta returns the members of an object's JSON that say what it is.
func (n names) typeMeta(suffix string) string {
	return `"kind":"` + n.kind + suffix + `","apiVersion":"` + inventoryv1alpha1.SchemeGroupVersion.String() + `",`
}

// store serves one resource.
type store[T object] struct {
	store  *inventory.Store
	kind   kind[T]
	json   runtime.Identifier
	events *memo[T]
	groups *groups[T]
	// encodings keeps the JSON of rows in lists; nil: it is not kept.
	encodings *inventory.Encodings
	// watchJSON are the encoders of watch events that use the encoder json.
	watchJSON map[runtime.Identifier]watch.EventType
}

func newStore[T object](s *inventory.Store, k kind[T], json runtime.Identifier) *store[T] {
	result := &store[T]{store: s, kind: k, json: json, events: &memo[T]{}, watchJSON: watchIdentifiers(json)}
	result.groups = &groups[T]{of: result}
	return result
}

func (s *store[T]) New() runtime.Object     { return s.kind.newObject() }
func (s *store[T]) NewList() runtime.Object { return s.kind.newList() }
func (s *store[T]) Destroy()                {}
func (s *store[T]) NamespaceScoped() bool   { return s.kind.names().scope == inventory.Namespaced }
func (s *store[T]) GetSingularName() string { return s.kind.names().singular }
func (s *store[T]) ShortNames() []string    { return []string{s.kind.names().shortName} }
func (s *store[T]) Categories() []string    { return s.kind.names().categories }
func (s *store[T]) resource() schema.GroupResource {
	return inventoryv1alpha1.Resource(s.kind.names().resource)
}

// Get returns the named object of the newest state, which is not older than the
// version that the options name.
func (s *store[T]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	version, err := minimumOf(options)
	if err != nil {
		return nil, err
	}
	state, err := s.fresh(ctx, version)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, state, name)
}

// minimumOf returns the version that the options name, or 0.
func minimumOf(options *metav1.GetOptions) (uint64, error) {
	if options == nil {
		return 0, nil
	}
	version, err := (storage.APIObjectVersioner{}).ParseResourceVersion(options.ResourceVersion)
	if err != nil {
		return 0, errors.NewBadRequest(err.Error())
	}
	return version, nil
}

// get returns the named object of a state.
func (s *store[T]) get(ctx context.Context, state *inventory.State, name string) (runtime.Object, error) {
	if name == "" {
		return nil, errors.NewNotFound(s.resource(), name)
	}
	p := s.kind.place(&selection{namespace: request.NamespaceValue(ctx), name: name})
	for object := range s.kind.scan(state, p, "") {
		item := s.item(object)
		item.shape = s.kind.shape(state, p)
		return item, nil
	}
	return nil, errors.NewNotFound(s.resource(), name)
}

// fresh returns a state that is not older than version.
func (s *store[T]) fresh(ctx context.Context, version uint64) (*inventory.State, error) {
	if version == 0 {
		return s.store.State(), nil
	}
	waiting, cancel := context.WithTimeout(ctx, freshness)
	defer cancel()
	state, err := s.store.Wait(waiting, version)
	switch {
	case err == nil:
		return state, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, versionError(err, version, s.store.State().Version, listExpired)
}
