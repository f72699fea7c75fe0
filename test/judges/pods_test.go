package judges

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// pods says how the pods of the tests lie in rows: each pod is the one row of an
// inventory whose name is the pod's in hexadecimal, so that rows are ordered as
// the tests expect of pods. The whole pod is an attribute; its labels are the
// row's, which has one more with the inventory's name; its node is the kind of
// the row's source.
type pods struct {
	scope inventory.Scope

	mu    sync.Mutex // guards what follows
	keys  map[inventory.Ref]inventory.Key
	kinds map[string]*inventory.Resource
}

func newPods(scope inventory.Scope) *pods {
	return &pods{scope: scope, keys: map[inventory.Ref]inventory.Key{}, kinds: map[string]*inventory.Resource{}}
}

const resourcePrefix = "/pods/"

// parse takes a storage's key apart. A name is only that of an object.
func (p *pods) parse(key string) (namespace, name string) {
	rest := strings.TrimPrefix(key+"/", resourcePrefix)
	if p.scope == inventory.Cluster {
		return "", strings.Trim(rest, "/")
	}
	rest = strings.TrimSuffix(rest, "/")
	namespace, name, _ = strings.Cut(rest, "/")
	return namespace, name
}

func (p *pods) ref(key string) inventory.Ref {
	namespace, name := p.parse(key)
	return inventory.Ref{Namespace: namespace, Name: encodeName(name)}
}

func encodeName(name string) string { return hex.EncodeToString([]byte(name)) }

func decodeName(t testing.TB, inventoryName string) string {
	name, err := hex.DecodeString(inventoryName)
	if err != nil {
		t.Errorf("the name of inventory %q: %v", inventoryName, err)
	}
	return string(name)
}

func (p *pods) definition(ref inventory.Ref) inventory.Inventory {
	return inventory.Inventory{Ref: ref, UID: ref.String(), Cluster: "test", Targets: []inventory.TargetRef{inventory.TargetRef(ref)}}
}

const nameLabel = "judged-name"

// row returns the row of a pod, whose version is not part of it.
func (p *pods) row(t testing.TB, ref inventory.Ref, pod *example.Pod) *inventory.Row {
	stored := pod.DeepCopy()
	stored.ResourceVersion = ""
	text, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := json.Marshal(map[string]string{"pod": string(text)})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{nameLabel: ref.Name}
	maps.Copy(labels, pod.Labels)
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := p.kinds[pod.Spec.NodeName]
	if kind == nil {
		kind = &inventory.Resource{Group: "example", Version: "v1", Resource: "pods", Kind: pod.Spec.NodeName}
		p.kinds[pod.Spec.NodeName] = kind
	}
	return inventory.NewRow(inventory.RowContent{
		Resource: kind, Target: (*inventory.TargetRef)(&ref), Namespace: ref.Namespace, Name: decodeName(t, ref.Name), UID: "1",
		Labels: labels, Attributes: attributes,
	})
}

// pod returns the pod of a row that was read.
func (p *pods) pod(t testing.TB, row runtime.Object, versions *versions) *example.Pod {
	var attributes map[string]inventoryv1alpha1.Value
	var version string
	switch row := row.(type) {
	case *inventoryv1alpha1.InventoryRow:
		attributes, version = row.Attributes, row.ResourceVersion
	case *inventoryv1alpha1.ClusterInventoryRow:
		attributes, version = row.Attributes, row.ResourceVersion
	default:
		t.Errorf("got a %T, want a row", row)
		return nil
	}
	var text string
	pod := &example.Pod{}
	if err := json.Unmarshal(attributes["pod"].Raw, &text); err != nil {
		t.Errorf("the pod of a row: %v", err)
	} else if err := json.Unmarshal([]byte(text), pod); err != nil {
		t.Errorf("the pod of a row: %v", err)
	}
	pod.ResourceVersion = versions.out(version)
	return pod
}

// key returns the key of the row of a pod, which need not exist.
func (p *pods) key(t testing.TB, ref inventory.Ref) inventory.Key {
	p.mu.Lock()
	key, known := p.keys[ref]
	p.mu.Unlock()
	if known {
		return key
	}
	scratch := inventory.NewStore(inventory.Options{})
	row := p.row(t, ref, &example.Pod{})
	scratch.Update(func(tx *inventory.Tx) {
		tx.SetInventory(p.definition(ref))
		tx.Put(row, "")
	})
	for e := range scratch.State().Snapshot(ref).Entries() {
		key = e.Key
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[ref] = key
	return key
}

// rowName returns the name of the row of a pod.
func (p *pods) rowName(t testing.TB, ref inventory.Ref) string {
	return ref.Name + "." + p.key(t, ref).String()
}

// versions numbers the versions of a store one by one, as the tests expect: a
// change of a pod takes one number. In the store it takes two versions, one for
// the row and one for the head of its inventory.
type versions struct {
	mu        sync.RWMutex // held while the store changes
	changes   []change     // the n-th has number n+1
	compacted uint64
}

// change is the version of a row's event, and that of the state it led to.
type change struct{ row, state uint64 }

// out returns the number of a version of the store.
func (v *versions) out(version string) string {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil || n == 0 {
		return version
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	number := 0
	for number < len(v.changes) && v.changes[number].row <= n {
		number++
	}
	return strconv.Itoa(number)
}

// in returns the version of the store that a number is of. That of a number that
// is not yet given is newer than all, and what is no number stays as it is.
func (v *versions) in(number string) string {
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || n == 0 || n > 1<<40 {
		return number
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if over := int(n) - len(v.changes); over > 0 {
		return strconv.FormatUint(v.changes[len(v.changes)-1].state+uint64(over), 10)
	}
	version := v.changes[n-1].row
	if n == v.compacted { // its row's event is forgotten, its state is not
		version = v.changes[n-1].state
	}
	return strconv.FormatUint(version, 10)
}
