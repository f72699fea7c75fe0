package e2e

import (
	"errors"
	"fmt"
	"os"
	"testing"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

func logOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// gadgets is a kind of our own, gadgetRight the server's right to collect it, and
// gadget an object of it.
const (
	gadgets = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.e2e.kollect.io}
spec:
  group: e2e.kollect.io
  scope: Namespaced
  names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	gadgetRight = `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: collect-gadgets, labels: {kollect.io/aggregate-to-collect: "true"}}
rules: [{apiGroups: [e2e.kollect.io], resources: [gadgets], verbs: [get, list, watch]}]
`
	gadget = `---
{apiVersion: e2e.kollect.io/v1, kind: Gadget, metadata: {name: %s}, data: {value: "%s"}}`
)

// halfListed waits until an inventory says, in its status and in the head, that
// it waits for the target, with the words of why and of the mend.
func (s *scene) halfListed(target string, words ...string) {
	s.Helper()
	words = append([]string{target}, words...)
	s.wantCondition("kcinv/"+s.ns, "Exported", "False", append(words, "WaitingForTargets")...)
	s.wantCondition("kcinv/"+s.ns, "Synced", "False", words...)
	s.wantHead("", s.ns, func(head *inventoryv1alpha1.InventoryStatus) error {
		if len(head.Sinks) != 1 {
			return errors.New("it shows no sink")
		}
		return wantWords("error of the sink", head.Sinks[0].LastError, words...)
	})
}

// A target that can't finish its first list holds back the snapshot stores of
// its inventories, before and after a first export, and says so.
func TestHalfListedInventoriesAreHeldBack(t *testing.T) {
	s := begin(t, "half-listed")
	t.Cleanup(func() {
		s.cp.MustKubectl(t, "delete", "--ignore-not-found", "--wait=false", "crd/gadgets.e2e.kollect.io", "clusterrole/collect-gadgets")
	})
	aggregate := func() {
		t.Helper()
		s.must(s.cp.AggregateClusterRoles(t.Context()))
	}
	s.put("one", "1")
	s.put("two", "2")
	s.apply(`
apiVersion: kollect.io/v1alpha1
kind: KollectClusterProfile
metadata: {name: NS-maps, labels: {e2e: NS}}
spec: {resource: {kind: ConfigMap}, attributes: [{name: value, cel: object.data.value}]}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterProfile
metadata: {name: NS-gadgets, labels: {e2e: NS}}
spec: {resource: {group: e2e.kollect.io, kind: Gadget}, attributes: [{name: value, cel: object.data.value}]}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: NS-maps, labels: {e2e: NS}}
spec: {profileRef: {name: NS-maps}, namespaces: {names: [NS]}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: NS-gadgets, labels: {e2e: NS}}
spec: {profileRef: {name: NS-gadgets}, namespaces: {names: [NS]}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: NS, labels: {e2e: NS}}
spec: {type: objectStore, objectStore: {url: "file:///NS", format: parquet}, minWriteInterval: 0s}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: NS, labels: {e2e: NS}}
spec: {targetSelector: {matchLabels: {e2e: NS}}, sinkRefs: [{name: NS}], exportMinInterval: 1s}
`)
	at := s.exports("", s.ns)
	served := func(want int) {
		t.Helper()
		s.wantHead("", s.ns, func(head *inventoryv1alpha1.InventoryStatus) error {
			if head.Rows != int64(want) {
				return fmt.Errorf("got %d rows, want %d", head.Rows, want)
			}
			return nil
		})
	}
	nothing := func() {
		t.Helper()
		if files, err := at.files(); err != nil || len(files) > 0 {
			t.Fatalf("exported before every target was listed: %v, %v", files, err)
		}
	}

	t.Log("the definition is missing")
	s.halfListed(s.ns+"-gadgets", "spec.resource", "Gadget", "install its CustomResourceDefinition")
	served(2) // the API serves what there is
	nothing()

	t.Log("the right is missing")
	s.apply(gadgets)
	s.cp.MustKubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd/gadgets.e2e.kollect.io")
	s.apply(fmt.Sprintf(gadget, "gear", "3"))
	s.halfListed(s.ns+"-gadgets", "gadgets", "kollect.io/aggregate-to-collect")
	nothing()

	t.Log("all is there")
	s.apply(gadgetRight)
	aggregate()
	first := s.wantExport(at, above(0, 3))
	s.wantHead("", s.ns, exportedAt(first))

	t.Log("the right is gone when the server restarts")
	check := s.unchanged(at)
	s.stop(s.server.Stop)
	s.cp.MustKubectl(t, "delete", "clusterrole/collect-gadgets")
	aggregate()
	s.must(s.server.Start(t.Context()))
	s.halfListed(s.ns+"-gadgets", "gadgets", "kollect.io/aggregate-to-collect")
	s.put("one", "4")
	served(2)
	check()
	s.apply(gadgetRight)
	aggregate()
	second := s.wantExport(at, above(first.Generation, 3))

	t.Log("the definition is gone when the server restarts, and its objects with it")
	s.wantHead("", s.ns, exportedAt(second))
	check = s.unchanged(at)
	s.stop(s.server.Kill)
	s.cp.MustKubectl(t, "delete", "crd/gadgets.e2e.kollect.io")
	s.must(s.server.Start(t.Context()))
	s.halfListed(s.ns+"-gadgets", "Gadget", "install its CustomResourceDefinition")
	served(2)
	check()

	t.Log("the target is gone too, which is for good")
	s.cp.MustKubectl(t, "delete", "kctgt/"+s.ns+"-gadgets")
	s.wantExport(at, above(second.Generation, 2))
}
