package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
)

// deadline suits a loaded machine; what works takes a second or two.
const deadline = 90 * time.Second

// scene is the place of one test: a namespace of whose ConfigMaps there are rows,
// in an inventory and in a cluster inventory.
type scene struct {
	*testing.T
	*suite
	ns     string // the namespace and the cluster inventory
	reader *rest.Config
	views  []view
}

// inventory is the name of the scene's inventory.
const inventory = "apps"

// view is a resource that shows rows of the scene.
type view struct {
	resource string
	scope    string // fields that select the rows of one of the scene's inventories
	each     int    // how many rows an object is, without scope
	config   *rest.Config
	client   dynamic.ResourceInterface
}

// settings is a profile, a target and two inventories, in which NS stands for the
// namespace. No attribute is required.
const settings = `
apiVersion: v1
kind: Namespace
metadata: {name: NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: view, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {kind: ServiceAccount, name: default, namespace: NS}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: NS}
---
apiVersion: kollect.io/v1alpha1
kind: KollectProfile
metadata: {name: settings, namespace: NS}
spec:
  resource: {kind: ConfigMap}
  attributes:
  - {name: value, cel: object.data.value, optional: true, promoted: true}
  - {name: size, cel: int(object.data.size), type: integer, optional: true, promoted: true}
  - {name: host, cel: object.data.host, optional: true, promoted: true}
  - {name: port, cel: object.data.port, optional: true, promoted: true}
---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: settings, namespace: NS}
spec: {profileRef: {name: settings}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: apps, namespace: NS}
spec: {}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: NS}
spec: {namespaces: {names: [NS]}}
`

// begin makes a scene. Its reader is a user who may read what is in the namespace,
// and no more.
func begin(t *testing.T, namespace string) *scene {
	t.Helper()
	s := &scene{T: t, suite: &shared, ns: namespace}
	s.apply(settings)
	t.Cleanup(func() {
		s.cp.MustKubectl(t, "delete", "kollectclusterinventory", namespace, "--wait=false")
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", child.Tail(s.server.LogPath(), 40))
		}
	})
	var err error
	s.reader, err = s.cp.UserConfig(namespace)
	s.must(err)
	s.views = []view{
		{resource: "inventoryrows", scope: "inventory=" + inventory, each: 1, config: s.reader},
		{resource: "clusterinventoryrows", scope: "inventory=" + namespace, each: 1, config: s.cp.Config()},
		{resource: "accessiblerows", scope: "inventory=" + inventory, each: 2, config: s.reader},
	}
	for i := range s.views {
		v := &s.views[i]
		client, err := dynamic.NewForConfig(v.config)
		s.must(err)
		v.client = client.Resource(inventoryv1alpha1.SchemeGroupVersion.WithResource(v.resource))
		if v.resource != "clusterinventoryrows" {
			v.client = client.Resource(inventoryv1alpha1.SchemeGroupVersion.WithResource(v.resource)).Namespace(namespace)
		}
	}
	s.synced()
	return s
}

// in returns the scene for a part of its test.
func (s *scene) in(t *testing.T) *scene {
	part := *s
	part.T = t
	return &part
}

// synced waits until all objects are rows: every ConfigMap that there was before.
func (s *scene) synced() {
	s.Helper()
	s.put("synced", nil, nil)
	for _, v := range s.views {
		s.until(func() error {
			_, err := s.row(v, "synced")
			return err
		})
	}
	s.remove("synced")
	s.gone("synced")
}

// gone waits until no view has a row of a ConfigMap.
func (s *scene) gone(name string) {
	s.Helper()
	for _, v := range s.views {
		s.until(func() error {
			if _, err := s.row(v, name); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%s was deleted and is still a row in %s (%v)", name, v.resource, err)
			}
			return nil
		})
	}
}

// row returns the row of a ConfigMap.
func (s *scene) row(v view, name string) (*unstructured.Unstructured, error) {
	list, err := v.client.List(s.Context(), metav1.ListOptions{FieldSelector: v.scope + ",source.name=" + name})
	switch {
	case err != nil:
		return nil, err
	case len(list.Items) == 0:
		return nil, apierrors.NewNotFound(inventoryv1alpha1.Resource(v.resource), name)
	case len(list.Items) > 1:
		return nil, fmt.Errorf("%s is %d rows in %s", name, len(list.Items), v.resource)
	}
	return &list.Items[0], nil
}

// putWait writes a ConfigMap and waits until it is in all views as it was
// written. It returns its row in each.
func (s *scene) putWait(name string, labels, data map[string]string) []*unstructured.Unstructured {
	s.Helper()
	s.put(name, labels, data)
	rows := make([]*unstructured.Unstructured, len(s.views))
	for i, v := range s.views {
		s.until(func() (err error) {
			if rows[i], err = s.row(v, name); err != nil {
				return err
			}
			if got := valueOf(rows[i]); got != data["value"] {
				return fmt.Errorf("value of %s in %s: got %q, want %q", name, v.resource, got, data["value"])
			}
			return nil
		})
	}
	return rows
}

// put writes a ConfigMap.
func (s *scene) put(name string, labels, data map[string]string) {
	s.Helper()
	s.must(s.tryPut(s.Context(), name, labels, data))
}

func (s *scene) tryPut(ctx context.Context, name string, labels, data map[string]string) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: data}
	maps := s.core.CoreV1().ConfigMaps(s.ns)
	_, err := maps.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

func (s *scene) remove(name string) {
	s.Helper()
	s.must(s.core.CoreV1().ConfigMaps(s.ns).Delete(s.Context(), name, metav1.DeleteOptions{}))
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// inNamespace puts the scene's namespace in the place of NS.
func (s *scene) inNamespace(text string) string { return strings.ReplaceAll(text, "NS", s.ns) }

// apply applies manifests, in which NS stands for the scene's namespace.
func (s *scene) apply(manifests string) {
	s.Helper()
	cmd := s.cp.KubectlCommand(s.Context(), "apply", "--server-side", "-f", "-")
	cmd.Stdin = strings.NewReader(s.inNamespace(manifests))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		s.Fatalf("kubectl apply: %v\n%s", err, out.String())
	}
}

// until waits until check has no error.
func (s *scene) until(check func() error) {
	s.Helper()
	controlplane.Until(s, deadline, check)
}

// sourceOf returns the name of the object that a row is made of.
func sourceOf(row *unstructured.Unstructured) string { return stringOf(row, "source", "name") }

// valueOf returns the attribute value of a row.
func valueOf(row *unstructured.Unstructured) string { return stringOf(row, "attributes", "value") }

func stringOf(row *unstructured.Unstructured, path ...string) string {
	value, _, err := unstructured.NestedString(row.Object, path...)
	if err != nil {
		return err.Error()
	}
	return value
}
