package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
)

// deadline suits a loaded machine; what works takes a few seconds.
const deadline = 2 * time.Minute

// scene is the place of one test: a namespace with two inventories that go to all
// destinations. What their objects are labelled with is their names.
type scene struct {
	*testing.T
	*world
	ns          string
	inventories []string
	paused      *replica           // which answers nobody
	quiet       map[string]content // of all destinations after the last round
}

const (
	many = "many" // of which something changes all the time
	few  = "few"  // which becomes empty often
)

// settings are what the scene's namespace collects, and may.
const settings = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sink-secrets}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sink-secrets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sink-secrets}
subjects: [{kind: ServiceAccount, name: kollect-apiserver, namespace: kollect-system}]
---
apiVersion: kollect.io/v1alpha1
kind: KollectProfile
metadata: {name: settings}
spec:
  resource: {kind: ConfigMap}
  attributes:
  - {name: value, cel: object.data.value, promoted: true}
  - {name: size, cel: size(object.data.value), type: integer}
  - {name: tags, cel: 'object.data.tags.split(" ").map(t, {"tag": t})', type: json}
`

const inventoryOf = `---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: %[1]s, labels: {of: %[1]s}}
spec: {profileRef: {name: settings}, selector: {matchLabels: {app: %[1]s}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: %[1]s}
spec: {targetSelector: {matchLabels: {of: %[1]s}}, exportMinInterval: 1s, sinkRefs: [%[2]s]}
`

// begin makes a namespace for the test, whose destinations have what there is to
// have then: nothing.
func begin(t *testing.T, namespace string) *scene {
	t.Helper()
	s := &scene{T: t, world: &shared, ns: namespace, inventories: []string{many, few}}
	t.Cleanup(s.keepLogs)
	_, err := s.core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.core.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "view"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: namespace}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.apply(settings)
	s.until(s.mayReadSecrets) // the authorizer takes a moment to see it
	var sinks, refs strings.Builder
	for _, d := range s.destinations {
		sinks.WriteString("---\n" + d.sink(namespace))
		fmt.Fprintf(&refs, "{name: %s}, ", d.name())
	}
	s.apply(sinks.String())
	s.cp.MustKubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "-n", namespace, "ksink", "--all")
	for _, name := range s.inventories {
		s.apply(fmt.Sprintf(inventoryOf, name, refs.String()))
	}
	s.settle()
	t.Cleanup(func() {
		s.cp.MustKubectl(t, "delete", "--wait=false", "-n", namespace, "--all", "kollectinventories,kollecttargets,kollectprofiles,kollectsinks")
	})
	return s
}

// mayReadSecrets returns an error unless the servers may.
func (s *scene) mayReadSecrets() error {
	_, err := s.cp.Kubectl(s.Context(), "auth", "can-i", "get", "secrets", "-n", s.ns, "--as=system:serviceaccount:kollect-system:kollect-apiserver")
	return err
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) apply(manifests string) {
	s.Helper()
	cmd := s.cp.KubectlCommand(s.Context(), "apply", "--server-side", "-n", s.ns, "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
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

// settle waits until everybody tells the same of all inventories. What can't mend
// itself fails at once.
func (s *scene) settle() {
	s.Helper()
	s.until(func() error {
		err := s.check(s.Context())
		if broken := (brokenError{}); errors.As(err, &broken) {
			s.Fatal(err)
		}
		return err
	})
}

// pause waits, for less if the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// keepLogs keeps the logs of a test that failed, for who asks for -artifacts, and
// shows the end of the servers'.
func (s *scene) keepLogs() {
	if !s.Failed() {
		return
	}
	for _, r := range s.replicas {
		s.Logf("the end of the log of %s:\n%s", r.name, child.Tail(r.LogPath(), 30))
	}
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(s.replicas[0].LogPath()), "*"))
	for _, name := range logs {
		err = errors.Join(err, copyFile(filepath.Join(s.ArtifactDir(), filepath.Base(name)), name))
	}
	if err != nil {
		s.Log(err)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
