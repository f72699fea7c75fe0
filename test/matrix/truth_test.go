package matrix

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// item is an object that is served, as the administrator sees it.
type item struct {
	Metadata struct {
		Namespace, Name, UID string
		Labels               map[string]string
	}
	InventoryNamespace, Inventory string
	Target                        struct{ Namespace, Name string }
	Source                        struct{ Group, Resource, Kind, Namespace, Name, UID string }
	Attributes                    map[string]any
	Status                        struct{ Rows int }

	raw    json.RawMessage
	traces map[string]bool // in raw; only of what a truth has
}

// key is what lists are ordered by.
func (i *item) key() string { return i.Metadata.Namespace + "/" + i.Metadata.Name }

// id tells objects of one resource apart.
func (i *item) id() string { return i.key() + " " + i.Metadata.UID }

// identity is what a row is, whatever it is called: inventory, target, source, and
// what was extracted.
func (i *item) identity(inventoryNamespace string) string {
	return fmt.Sprint([]string{inventoryNamespace, i.Inventory, i.Target.Namespace, i.Target.Name, i.Source.UID}, i.Attributes, i.Metadata.Labels)
}

// truth is all there is at one time. It never changes.
type truth struct {
	rbac    *rbac
	items   map[string][]*item // by resource, in order
	version string             // of the state in which rows were listed
}

var resources = []string{"inventories", "inventoryrows", "accessiblerows", "clusterinventories", "clusterinventoryrows"}

func namespacedResource(resource string) bool { return !strings.HasPrefix(resource, "cluster") }

// truth reads all that there is, as soon as the rows are those that follow from
// the targets and the source objects.
func (w *world) truth() *truth {
	w.Helper()
	var t *truth
	w.until(func() (err error) {
		t, err = w.readTruth(w.Context())
		return err
	})
	return t
}

func (w *world) readTruth(ctx context.Context) (*truth, error) {
	want, err := w.identities(ctx)
	if err != nil {
		return nil, err
	}
	t := &truth{items: map[string][]*item{}}
	if t.rbac, err = readRBAC(ctx, w.core); err != nil {
		return nil, err
	}
	got := map[string]int{}
	for _, resource := range resources {
		list, err := w.list(ctx, resource)
		if err != nil {
			return nil, err
		}
		t.items[resource], t.version = list.items, list.version
		for _, i := range list.items {
			i.traces = map[string]bool{}
			tracesIn(i.traces, string(i.raw))
			switch resource {
			case "inventoryrows", "clusterinventoryrows":
				got[i.identity(i.Metadata.Namespace)]++
			case "accessiblerows":
				got[i.identity(i.InventoryNamespace)] += 1000
				if i.Metadata.Namespace != i.Source.Namespace {
					return nil, fmt.Errorf("%s is of a source in %q", i.id(), i.Source.Namespace)
				}
			}
		}
	}
	if !maps.Equal(got, want) {
		return nil, fmt.Errorf("the administrator sees %d rows, of which these are wrong: %v", len(got), differences(got, want))
	}
	return t, t.headsAgree()
}

func differences(got, want map[string]int) (wrong []string) {
	for identity, n := range want {
		if got[identity] != n {
			wrong = append(wrong, fmt.Sprintf("%s: got %d, want %d", identity, got[identity], n))
		}
	}
	for identity := range got {
		if _, ok := want[identity]; !ok {
			wrong = append(wrong, identity+": got one")
		}
	}
	return wrong
}

// headsAgree returns an error unless each inventory has the rows that it says,
// and each row is of an inventory.
func (t *truth) headsAgree() error {
	for heads, rows := range map[string]string{"inventories": "inventoryrows", "clusterinventories": "clusterinventoryrows"} {
		n := 0
		for _, head := range t.items[heads] {
			rows := len(t.rowsOf(rows, head))
			if n += rows; rows != head.Status.Rows {
				return fmt.Errorf("%s says that it has %d rows, and has %d", head.key(), head.Status.Rows, rows)
			}
		}
		if n != len(t.items[rows]) {
			return fmt.Errorf("%s have %d rows in all, and there are %d", heads, n, len(t.items[rows]))
		}
	}
	inventories := map[string]bool{}
	for _, target := range targets {
		inventories[target.namespace+"/"+target.inventory] = true
	}
	if n := len(t.items["inventories"]) + len(t.items["clusterinventories"]); n != len(inventories) {
		return fmt.Errorf("there are %d inventories, want %d", n, len(inventories))
	}
	return nil
}

// rowsOf returns the rows of an inventory.
func (t *truth) rowsOf(resource string, head *item) []*item {
	return pick(t.items[resource], func(i *item) bool {
		return i.Metadata.Namespace == head.Metadata.Namespace && i.Inventory == head.Metadata.Name
	})
}

func pick(items []*item, want func(*item) bool) (picked []*item) {
	for _, i := range items {
		if want(i) {
			picked = append(picked, i)
		}
	}
	return picked
}

// identities returns the rows that are to be there: 1 for each that only its
// inventory's readers see, 1001 for each that has a source in a namespace.
func (w *world) identities(ctx context.Context) (map[string]int, error) {
	want := map[string]int{}
	world := map[string]bool{}
	for _, ns := range namespaces {
		world[unique(ns)] = true
	}
	for _, t := range targets {
		k := sourceKinds[profiles[t.profile].kind]
		objects, err := w.any.Resource(k.resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		selected := world
		if t.namespaces != nil {
			selected = map[string]bool{}
			for _, ns := range t.namespaces {
				selected[unique(ns)] = true
			}
		}
		for _, object := range objects.Items {
			if k.namespaced && !selected[object.GetNamespace()] || !k.namespaced && !selected[object.GetName()] {
				continue
			}
			i := item{Inventory: inventoryName(t.inventory)}
			i.Target.Namespace, i.Target.Name, i.Source.UID = space(t.namespace), unique(t.name), string(object.GetUID())
			i.Metadata.Labels = object.GetLabels()
			i.Attributes = map[string]any{attribute(profiles[t.profile].promoted): extracted(&object), attribute("raw" + profiles[t.profile].promoted): object.GetName()}
			want[i.identity(space(t.namespace))] = 1
			if k.namespaced {
				want[i.identity(space(t.namespace))] = 1001
			}
		}
	}
	return want, nil
}

// extracted returns what profiles promote of an object.
func extracted(object *unstructured.Unstructured) any {
	if value, found, _ := unstructured.NestedString(object.Object, "data", "value"); found {
		return value
	}
	containers, found, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
	if found {
		return containers[0].(map[string]any)["image"]
	}
	return object.GetName()
}

// listed is a list as JSON says it.
type listed struct {
	items              []*item
	version, next      string
	remainingItemCount *int
}

// list returns all objects of a resource, as the administrator sees them.
func (w *world) list(ctx context.Context, resource string) (*listed, error) {
	a, err := w.read(ctx, w.ways[0], nil, root+resource, "application/json")
	if err != nil {
		return nil, err
	}
	list, err := parseList(a.body)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource, err)
	}
	sorted := slices.IsSortedFunc(list.items, func(a, b *item) int { return cmp.Compare(a.key(), b.key()) })
	if a.status != 200 || !sorted {
		return nil, fmt.Errorf("list %s: %d, in order: %v", resource, a.status, sorted)
	}
	return list, nil
}

const root = "/apis/inventory.kollect.io/v1alpha1/"

func parseList(body []byte) (*listed, error) {
	var list struct {
		Metadata struct {
			ResourceVersion, Continue string
			RemainingItemCount        *int
		}
		Items []json.RawMessage
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	l := &listed{version: list.Metadata.ResourceVersion, next: list.Metadata.Continue, remainingItemCount: list.Metadata.RemainingItemCount}
	for _, raw := range list.Items {
		i, err := parseItem(raw)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, i)
	}
	return l, nil
}

func parseItem(raw []byte) (*item, error) {
	i := &item{raw: raw}
	return i, json.Unmarshal(raw, i)
}

// tracesIn adds what tells of an object to a set: the unique part of names, the
// last of UIDs, digests in the names of rows, and content hashes.
func tracesIn(set map[string]bool, texts ...string) {
	for _, text := range texts {
		start := 0
		for i := 0; i <= len(text); i++ {
			if i < len(text) && isWord(text[i]) {
				continue
			}
			if word := text[start:i]; isTrace(word) {
				set[word] = true
				if len(word) == hashDigits {
					set[word[:12]] = true // as tables show it
				}
			}
			start = i + 1
		}
	}
}

func isWord(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' }

const hashDigits = 64

func isTrace(word string) bool {
	switch len(word) {
	case 10:
		return word[0] == 'q' && word[9] == 'z'
	case 26:
		return strings.Trim(word, "0123456789abcdefghijklmnopqrstuv") == ""
	case 12, hashDigits:
		return strings.Trim(word, "0123456789abcdef") == ""
	}
	return false
}
