package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
)

// deadline suits a loaded machine; what works takes a second or two.
const deadline = 90 * time.Second

// scene is the place of one test: a namespace whose service account may read
// all that the role view reads there.
type scene struct {
	*testing.T
	*suite
	ns string
}

// begin makes a namespace for the test, whose server runs then.
func begin(t *testing.T, namespace string) *scene {
	t.Helper()
	s := &scene{T: t, suite: &shared, ns: namespace}
	s.must(s.server.Start(t.Context()))
	s.must(s.server.Register(t.Context()))
	s.namespace(namespace)
	s.grantView(namespace, "default")
	t.Cleanup(func() {
		s.checkRights()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", child.Tail(s.server.LogPath(), 40))
		}
		s.cleanUp()
	})
	return s
}

// checkRights fails if the server's rights in artifacts/ are less than it uses.
func (s *scene) checkRights() {
	s.Helper()
	const denied = `User \"system:serviceaccount:kollect-system:kollect-apiserver\" cannot `
	for line := range strings.Lines(logOf(s.server.LogPath())) {
		_, right, found := strings.Cut(line, denied)
		if found && !strings.Contains(right, "gadgets") && !strings.Contains(right, "secrets") {
			s.Errorf("the server lacks a right of its own: %s", right)
		}
	}
}

// cleanUp deletes the configuration of the test, so that nothing of it is
// collected or exported any more.
func (s *scene) cleanUp() {
	s.must(s.cp.StartAPIServer(context.WithoutCancel(s.Context())))
	s.cp.MustKubectl(s, "delete", "--ignore-not-found", "--wait=false", "-n", s.ns, "--all",
		"kollectinventories,kollecttargets,kollectprofiles,kollectsinks")
	s.cp.MustKubectl(s, "delete", "--ignore-not-found", "--wait=false", "-l", "e2e="+s.ns,
		"kollectclusterinventories,kollectclustertargets,kollectclusterprofiles,kollectclustersinks")
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) namespace(name string, labels ...string) {
	s.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		k, v, _ := strings.Cut(label, "=")
		object.Labels[k] = v
	}
	_, err := s.core.CoreV1().Namespaces().Create(s.Context(), object, metav1.CreateOptions{})
	s.must(err)
}

// grantView gives a service account of the scene's namespace the role view in a
// namespace.
func (s *scene) grantView(namespace, account string) {
	s.Helper()
	_, err := s.core.RbacV1().RoleBindings(namespace).Create(s.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "view-" + s.ns + "-" + account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: s.ns}},
	}, metav1.CreateOptions{})
	s.must(err)
}

// apply applies manifests, in which NS stands for the scene's namespace.
func (s *scene) apply(manifests string) {
	s.Helper()
	if err := s.tryApply(manifests); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) tryApply(manifests string) error {
	cmd := s.cp.KubectlCommand(s.Context(), "apply", "--server-side", "-n", s.ns, "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(manifests, "NS", s.ns))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, out.String())
	}
	return nil
}

// until waits until check has no error.
func (s *scene) until(check func() error) {
	s.Helper()
	controlplane.Until(s, deadline, check)
}

// put writes a ConfigMap whose value is what its row shows.
func (s *scene) put(name, value string) {
	s.Helper()
	s.must(s.tryPut(s.Context(), s.ns, name, value))
}

func (s *scene) tryPut(ctx context.Context, namespace, name, value string) error {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "e2e"}},
		Data:       map[string]string{"value": value, "tags": "b a"},
	}
	maps := s.core.CoreV1().ConfigMaps(namespace)
	_, err := maps.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	}
	return err
}

// settings is a profile of ConfigMaps and a target of those of the namespace.
const settings = `
apiVersion: kollect.io/v1alpha1
kind: KollectProfile
metadata: {name: settings}
spec:
  resource: {kind: ConfigMap}
  attributes:
  - {name: value, cel: object.data.value, promoted: true}
  - {name: size, cel: size(object.data.value), type: integer, promoted: true}
  - {name: tags, cel: 'object.data.tags.split(" ").map(t, {"tag": t})', type: json}
---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: settings}
spec: {profileRef: {name: settings}}
`

// exported is an inventory of all targets that goes to a folder of the
// namespace's name.
func exported(inventory, format string) string {
	return fmt.Sprintf(`---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: %[1]s}
spec: {type: objectStore, objectStore: {url: "file:///NS", format: %[2]s}, minWriteInterval: 0s}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: %[1]s}
spec: {sinkRefs: [{name: %[1]s}], exportMinInterval: 1s}
`, inventory, format)
}

// head returns the head of an inventory, or of a cluster inventory if the
// namespace is empty.
func (s *scene) head(namespace, name string) (*inventoryv1alpha1.InventoryStatus, error) {
	client := s.admin.InventoryV1alpha1()
	if namespace == "" {
		head, err := client.ClusterInventories().Get(s.Context(), name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return &head.Status, nil
	}
	head, err := client.Inventories(namespace).Get(s.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &head.Status, nil
}

// rows returns name=value of the rows of an inventory of the namespace, sorted.
func (s *scene) rows(inventory string) ([]string, error) {
	list, err := s.admin.InventoryV1alpha1().InventoryRows(s.ns).List(s.Context(), metav1.ListOptions{FieldSelector: "inventory=" + inventory})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		row := &list.Items[i]
		value, err := row.Attributes["value"].MarshalJSON()
		if err != nil {
			return nil, err
		}
		names = append(names, row.Source.Name+"="+strings.Trim(string(value), `"`))
	}
	slices.Sort(names)
	return names, nil
}

func (s *scene) wantRows(inventory string, want ...string) {
	s.Helper()
	slices.Sort(want)
	s.until(func() error {
		got, err := s.rows(inventory)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("rows of %s: got %v, want %v", inventory, got, want)
		}
		return err
	})
}

// wantCondition waits until a condition of an object, such as kinv/apps or, in
// the served API, inv/apps, has the status, and a message with all of the words.
func (s *scene) wantCondition(object, condition, status string, words ...string) {
	s.Helper()
	const path = `{.status.conditions[?(@.type=="%s")].status} {.status.conditions[?(@.type=="%[1]s")].reason} {.status.conditions[?(@.type=="%[1]s")].message}`
	s.until(func() error {
		out, err := s.cp.Kubectl(s.Context(), "get", object, "-n", s.ns, "-o", "jsonpath="+fmt.Sprintf(path, condition))
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(out), status+" ") {
			return fmt.Errorf("%s of %s: got %q, want %s", condition, object, out, status)
		}
		return wantWords(fmt.Sprintf("%s of %s", condition, object), string(out), words...)
	})
}

func wantWords(what, got string, words ...string) error {
	for _, word := range words {
		if !strings.Contains(got, word) {
			return fmt.Errorf("%s: got %q, want %q in it", what, got, word)
		}
	}
	return nil
}

// wantHead waits for a head of which check has no error.
func (s *scene) wantHead(namespace, name string, check func(*inventoryv1alpha1.InventoryStatus) error) {
	s.Helper()
	s.until(func() error {
		head, err := s.head(namespace, name)
		if err != nil {
			return err
		}
		if err := check(head); err != nil {
			return fmt.Errorf("head of %s: %w", name, err)
		}
		return nil
	})
}

// exportedAt returns a check that the sink has the generation, and that all is
// well.
func exportedAt(p pointer) func(*inventoryv1alpha1.InventoryStatus) error {
	return func(head *inventoryv1alpha1.InventoryStatus) error {
		switch {
		case len(head.Sinks) != 1:
			return fmt.Errorf("got %d sinks, want 1", len(head.Sinks))
		case head.ContentHash != p.ContentHash, head.Sinks[0].ContentHash != p.ContentHash:
			return fmt.Errorf("got content %s and %s at the sink, want %s", head.ContentHash, head.Sinks[0].ContentHash, p.ContentHash)
		case head.Generation != p.Generation, head.Sinks[0].Generation != p.Generation:
			return fmt.Errorf("got generation %d and %d at the sink, want %d", head.Generation, head.Sinks[0].Generation, p.Generation)
		case head.Rows != p.Rows, head.Sinks[0].Rows != p.Rows:
			return fmt.Errorf("got %d rows and %d at the sink, want %d", head.Rows, head.Sinks[0].Rows, p.Rows)
		case !meta.IsStatusConditionTrue(head.Conditions, "Exported"):
			return errors.New("it is not Exported")
		}
		return nil
	}
}

// stop ends the server, and fails if it had ended by itself.
func (s *scene) stop(end func() error) {
	s.Helper()
	for _, p := range s.cp.Processes() {
		if !p.Running {
			s.Errorf("%s ended by itself:\n%s", p.Name, child.Tail(p.Log, 40))
		}
	}
	s.must(end())
}
