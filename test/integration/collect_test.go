package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/test/controlplane"
)

const widgetCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.kollect.io}
spec:
  group: test.kollect.io
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const widget = `
apiVersion: test.kollect.io/v1
kind: Widget
metadata: {name: gear, namespace: team-a}
data: {value: "%s"}
`

const mayCollect = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %s}
rules:
- {apiGroups: ["%s"], resources: [%s], verbs: [list, watch]}
`

// collected is a control plane and a collector of it, with the rights of a
// user of its own.
type collected struct {
	*testing.T
	cp        *controlplane.ControlPlane
	store     *inventory.Store
	collector *collect.Collector
}

func newCollected(t *testing.T) *collected {
	t.Helper()
	cp := controlplane.ForTest(t, controlplane.Options{})
	config, err := cp.UserConfig("collector")
	if err != nil {
		t.Fatal(err)
	}
	client, err := collect.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &collected{T: t, cp: cp, store: inventory.NewStore(inventory.Options{})}
	c.collector = collect.New(c.store, client, collect.Options{
		Backoff: wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 100, Cap: time.Second},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.collector.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *collected) target(name string, resource inventory.Resource) collect.Target {
	c.Helper()
	profile, errs := extract.Compile([]kollectv1alpha1.Attribute{{Name: "value", CEL: "object.data.value"}})
	if len(errs) > 0 {
		c.Fatal(errs)
	}
	return collect.Target{
		Ref:        inventory.TargetRef{Name: name},
		Resource:   &resource,
		Namespaced: true,
		Revision:   "1",
		Extract:    profile,
		Labels:     labels.SelectorFromSet(labels.Set{}),
		Namespaces: collect.NamespaceScope{Names: []string{"team-a", "team-b"}},
	}
}

func (c *collected) apply(manifest string) {
	c.Helper()
	cmd := c.cp.KubectlCommand(c.Context(), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		c.Fatalf("kubectl apply: %v\n%s", err, out.String())
	}
}

// rows returns namespace/name=value of a target's rows.
func (c *collected) rows(target string) []string {
	probe := inventory.Ref{Name: "probe-" + target}
	c.store.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: probe, Targets: []inventory.TargetRef{{Name: target}}})
	})
	var out []string
	for e := range c.store.State().Snapshot(probe).All() {
		var attributes struct{ Value string }
		if err := json.Unmarshal([]byte(e.Row.Attributes()), &attributes); err != nil {
			c.Error(err)
		}
		out = append(out, fmt.Sprintf("%s/%s=%s", e.Row.Namespace(), e.Row.Name(), attributes.Value))
	}
	slices.Sort(out)
	return out
}

func (c *collected) state(target string) (state inventory.TargetState) {
	c.store.Update(func(tx *inventory.Tx) {
		if s := tx.TargetState(inventory.TargetRef{Name: target}); s != nil {
			state = *s
		}
	})
	return state
}

// until polls until check returns nothing, or fails with what it returned.
func (c *collected) until(check func() string) {
	c.Helper()
	var missing string
	err := wait.PollUntilContextTimeout(c.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		missing = check()
		return missing == "", nil
	})
	if err != nil {
		c.Fatal(missing)
	}
}

func (c *collected) wantRows(target string, want ...string) {
	c.Helper()
	c.until(func() string {
		if got := c.rows(target); !slices.Equal(got, want) {
			return fmt.Sprintf("rows of %s: got %v, want %v; state %+v", target, got, want, c.state(target))
		}
		return ""
	})
}

func (c *collected) wantFresh(target string) {
	c.Helper()
	c.until(func() string {
		if s := c.state(target); !s.Synced || s.Stale {
			return fmt.Sprintf("state of %s: %+v, want synced and not stale", target, s)
		}
		return ""
	})
}

// wantStale waits for a stale state whose message has all of the words.
func (c *collected) wantStale(target string, synced bool, words ...string) {
	c.Helper()
	c.until(func() string {
		s := c.state(target)
		if !s.Stale || s.Synced != synced {
			return fmt.Sprintf("state of %s: %+v, want stale and synced=%v", target, s, synced)
		}
		for _, word := range words {
			if !strings.Contains(s.Message, word) {
				return fmt.Sprintf("state of %s: %+v, want a message with %q", target, s, word)
			}
		}
		return ""
	})
}

func TestCollectorFollowsTheCluster(t *testing.T) {
	t.Parallel()
	c := newCollected(t)
	kubectl := func(args ...string) { t.Helper(); c.cp.MustKubectl(t, args...) }
	for _, role := range []string{"core", "widgets"} {
		kubectl("create", "clusterrolebinding", role, "--clusterrole="+role, "--user=collector")
	}
	c.apply(fmt.Sprintf(mayCollect, "core", "", "configmaps, namespaces"))
	c.apply(fmt.Sprintf(mayCollect, "widgets", "test.kollect.io", "widgets"))
	kubectl("create", "namespace", "team-a")
	kubectl("create", "namespace", "team-b")
	kubectl("create", "configmap", "one", "--namespace=team-a", "--from-literal=value=1")

	configmaps := inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}
	widgets := inventory.Resource{Group: "test.kollect.io", Version: "v1", Resource: "widgets", Kind: "Widget"}
	byLabel := c.target("by-label", configmaps)
	byLabel.Namespaces = collect.NamespaceScope{Selector: labels.SelectorFromSet(labels.Set{"tier": "web"})}
	c.collector.SetTarget(c.target("maps", configmaps))
	c.collector.SetTarget(byLabel)
	c.collector.SetTarget(c.target("widgets", widgets))

	t.Log("objects come, change and go")
	c.wantRows("maps", "team-a/one=1")
	c.wantFresh("maps")
	kubectl("create", "configmap", "two", "--namespace=team-b", "--from-literal=value=2")
	kubectl("patch", "configmap", "one", "--namespace=team-a", "--patch", `{"data":{"value":"3"}}`)
	c.wantRows("maps", "team-a/one=3", "team-b/two=2")
	kubectl("delete", "configmap", "one", "--namespace=team-a")
	c.wantRows("maps", "team-b/two=2")

	t.Log("a target comes later and gets what is there")
	c.collector.SetTarget(c.target("late", configmaps))
	c.wantRows("late", "team-b/two=2")
	c.wantFresh("late")

	t.Log("namespaces move in and out of a selection")
	c.wantFresh("by-label")
	c.wantRows("by-label")
	kubectl("label", "namespace", "team-b", "tier=web")
	c.wantRows("by-label", "team-b/two=2")
	kubectl("label", "namespace", "team-b", "tier-")
	c.wantRows("by-label")

	t.Log("a resource is installed after its target, goes and comes again")
	c.wantStale("widgets", false, "no resource widgets.test.kollect.io", "CustomResourceDefinition")
	c.apply(widgetCRD)
	kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.test.kollect.io")
	c.apply(fmt.Sprintf(widget, "1"))
	c.wantRows("widgets", "team-a/gear=1")
	c.wantFresh("widgets")
	kubectl("delete", "crd", "widgets.test.kollect.io", "--timeout=60s")
	c.wantStale("widgets", true, "no resource widgets.test.kollect.io")
	c.wantRows("widgets")
	c.wantFresh("maps")
	c.apply(widgetCRD)
	kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.test.kollect.io")
	c.apply(fmt.Sprintf(widget, "2"))
	c.wantRows("widgets", "team-a/gear=2")
	c.wantFresh("widgets")

	t.Log("kube-apiserver goes and comes again, and a right is gone")
	kubectl("delete", "clusterrole", "widgets")
	if err := c.cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"maps", "widgets", "by-label"} {
		c.wantStale(target, true, "can not be reached")
	}
	c.wantRows("maps", "team-b/two=2")
	c.wantRows("widgets", "team-a/gear=2")
	if err := c.cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantFresh("maps")
	c.wantFresh("by-label")
	c.wantStale("widgets", true, "may not", "widgets.test.kollect.io", collect.CollectLabel)
	c.wantRows("widgets", "team-a/gear=2")
	kubectl("create", "configmap", "three", "--namespace=team-a", "--from-literal=value=3")
	c.wantRows("maps", "team-a/three=3", "team-b/two=2")

	t.Log("the right is given again")
	kubectl("delete", "widget", "gear", "--namespace=team-a")
	c.apply(fmt.Sprintf(mayCollect, "widgets", "test.kollect.io", "widgets"))
	c.wantFresh("widgets")
	c.wantRows("widgets")

	t.Log("a target that goes takes its rows along")
	c.collector.RemoveTarget(inventory.TargetRef{Name: "late"})
	c.wantRows("late")
	c.wantRows("maps", "team-a/three=3", "team-b/two=2")
}
