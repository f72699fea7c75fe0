package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/controller"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/test/controlplane"
)

// configured is a control plane with the custom resource definitions, and a
// controller that can be ended and run again.
type configured struct {
	*testing.T
	cp       *controlplane.ControlPlane
	client   dynamic.Interface
	fileRoot string
	store    *inventory.Store
	stop     func()
}

const deadline = time.Minute

func newConfigured(t *testing.T) *configured {
	t.Helper()
	cp := controlplane.ForTest(t, controlplane.Options{})
	client, err := dynamic.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	c := &configured{T: t, cp: cp, client: client, fileRoot: t.TempDir()}
	cp.MustKubectl(t, "apply", "--server-side", "-f", filepath.Join("..", "..", "artifacts", "crds"))
	cp.MustKubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	t.Cleanup(func() { c.end() })
	c.start("one")
	return c
}

// start runs a controller on an empty store.
func (c *configured) start(identity string) {
	c.Helper()
	c.store = inventory.NewStore(inventory.Options{})
	open := func(ctx context.Context, config controller.SinkConfig) (sink.SnapshotStore, error) {
		if config.Spec.SecretRef != nil && string(config.Secret["token"]) != "right" {
			return nil, errors.New("the destination does not accept the token")
		}
		return objectstore.Open(ctx, *config.Spec.ObjectStore, nil, objectstore.Options{FileRoot: c.fileRoot})
	}
	run, err := controller.New(controller.Config{
		Client: c.cp.Config(), Store: c.store, ClusterName: "test",
		Openers: map[kollectv1alpha1.SinkType]controller.Opener{
			kollectv1alpha1.SinkObjectStore: controller.SnapshotStore(open),
		},
		LeaderElection: controller.LeaderElection{
			Namespace: "default", Identity: identity,
			LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
		},
		AccessInterval: 3 * time.Second,
		SecretInterval: 2 * time.Second,
	})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run.Run(ctx) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				c.Errorf("the controller ended with %v", err)
			}
		case <-time.After(deadline):
			c.Error("the controller does not end")
		}
	})
}

func (c *configured) end() { c.stop() }

func (c *configured) apply(manifests string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), deadline)
	defer cancel()
	cmd := c.cp.KubectlCommand(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader("---\n" + manifests) // else kubectl takes a first brace for JSON
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		c.Fatalf("kubectl apply: %v\n%s", err, out.String())
	}
}

// until waits until what check returns is empty, which says what is missing.
func (c *configured) until(check func() string) {
	c.Helper()
	var missing string
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		if missing = check(); missing == "" {
			return
		}
		select {
		case <-c.Context().Done():
			c.Fatal(missing)
		case <-time.After(50 * time.Millisecond):
		}
	}
	c.Fatal(missing)
}

// get returns an object of kollect.io, or of another resource.
func (c *configured) get(resource, namespace, name string) (*unstructured.Unstructured, error) {
	return c.client.Resource(kollectv1alpha1.SchemeGroupVersion.WithResource(resource)).Namespace(namespace).
		Get(c.Context(), name, metav1.GetOptions{})
}

// wantCondition waits for a condition whose message has all of the words.
func (c *configured) wantCondition(resource, namespace, name, condition, status, reason string, words ...string) {
	c.Helper()
	c.until(func() string {
		o, err := c.get(resource, namespace, name)
		if err != nil {
			return err.Error()
		}
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, item := range conditions {
			got, _ := item.(map[string]any)
			if got["type"] != condition {
				continue
			}
			message, _ := got["message"].(string)
			if got["status"] == status && got["reason"] == reason && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(message, w) }) {
				return ""
			}
			return fmt.Sprintf("%s %s/%s: condition %s is %v, %v: %q; want %s, %s, with %q", resource, namespace, name,
				condition, got["status"], got["reason"], message, status, reason, words)
		}
		return fmt.Sprintf("%s %s/%s has no condition %s", resource, namespace, name, condition)
	})
}

func (c *configured) snapshot(namespace, name string) *inventory.Snapshot {
	return c.store.State().Snapshot(inventory.Ref{Namespace: namespace, Name: name})
}

// wantRows waits until an inventory has the rows of the named objects.
func (c *configured) wantRows(namespace, name string, want ...string) {
	c.Helper()
	c.until(func() string {
		s := c.snapshot(namespace, name)
		if s == nil {
			return "there is no snapshot of " + name
		}
		var got []string
		for e := range s.All() {
			got = append(got, e.Row.Name())
		}
		slices.Sort(got)
		slices.Sort(want)
		if slices.Equal(got, want) {
			return ""
		}
		return fmt.Sprintf("rows of %s: %v, want %v", name, got, want)
	})
}

// exported returns what the file sink holds of an inventory.
func (c *configured) exported(folder string, of inventory.Inventory) sink.Mark {
	c.Helper()
	store, err := objectstore.Open(c.Context(), kollectv1alpha1.ObjectStoreSink{URL: "file:///" + folder, Format: "json"}, nil,
		objectstore.Options{FileRoot: c.fileRoot})
	if err != nil {
		c.Fatal(err)
	}
	defer store.Close()
	mark, err := store.Mark(c.Context(), &of)
	if err != nil {
		c.Fatal(err)
	}
	return mark
}

// wantExported waits until the sink holds the snapshot, and returns its mark.
func (c *configured) wantExported(folder, namespace, name string) sink.Mark {
	c.Helper()
	var mark sink.Mark
	c.until(func() string {
		s := c.snapshot(namespace, name)
		if s == nil {
			return "there is no snapshot of " + name
		}
		mark = c.exported(folder, *s.Inventory())
		if mark.Hash == s.Hash().String() && mark.Rows == int64(s.Len()) {
			return ""
		}
		return fmt.Sprintf("sink %s holds %d rows of %s, want %d of %s", folder, mark.Rows, mark.Hash, s.Len(), s.Hash())
	})
	return mark
}

func (c *configured) wantEvent(namespace, object, reason, words string) {
	c.Helper()
	c.until(func() string {
		list, err := c.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "events"}).Namespace(namespace).
			List(c.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + object})
		if err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Object["reason"] == reason && strings.Contains(fmt.Sprint(e.Object["message"]), words) {
				return ""
			}
		}
		return fmt.Sprintf("no event %s of %s with %q", reason, object, words)
	})
}

func configMaps(namespace string, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: {app: demo}}, data: {color: blue}}\n", name, namespace)
	}
	return b.String()
}

const colors = `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterProfile
metadata: {name: colors}
spec:
  resource: {kind: ConfigMap}
  attributes: [{name: color, cel: object.data.color, promoted: true}]
`

func namespace(name string, labels ...string) string {
	return fmt.Sprintf("---\n{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {%s}}}\n", name, strings.Join(labels, ", "))
}

// grant lets a service account read ConfigMaps in a namespace.
func grant(namespace, account, of string) string {
	return fmt.Sprintf(`---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: collect-%[2]s, namespace: %[1]s}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: collect-%[2]s, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: collect-%[2]s}
subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[3]s}]
`, namespace, account, of)
}

func (c *configured) inventoryStatus(resource, namespace, name string) kollectv1alpha1.InventoryStatus {
	c.Helper()
	o, err := c.get(resource, namespace, name)
	if err != nil {
		c.Fatal(err)
	}
	var status kollectv1alpha1.InventoryStatus
	status.ReservedGeneration, _, _ = unstructured.NestedInt64(o.Object, "status", "reservedGeneration")
	status.Generation, _, _ = unstructured.NestedInt64(o.Object, "status", "generation")
	return status
}

func (c *configured) leads(identity string) bool {
	lease, err := c.client.Resource(schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}).
		Namespace("default").Get(c.Context(), "kollect-apiserver", metav1.GetOptions{})
	if err != nil {
		return false
	}
	holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	return holder == identity
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
