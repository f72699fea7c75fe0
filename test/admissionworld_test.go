package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kollect.io/kollect/test/controlplane"
)

// admission is a control plane with the admission policies.
type admission struct {
	*testing.T
	cp          *controlplane.ControlPlane
	folder      string
	kubeconfigs map[string]string // by user
}

func newAdmission(t *testing.T) *admission {
	t.Helper()
	readArtifacts(t)
	a := &admission{T: t, cp: controlplane.ForTest(t, controlplane.Options{}), folder: t.TempDir(), kubeconfigs: map[string]string{}}
	a.cp.MustKubectl(t, "apply", "--server-side", "-f", filepath.Join(artifacts, "crds"))
	a.cp.MustKubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	a.cp.MustKubectl(t, "apply", "--server-side", "-f", filepath.Join(artifacts, "namespace.yaml"),
		"-f", filepath.Join(artifacts, "rbac-users.yaml"), "-f", filepath.Join(artifacts, "rbac-server.yaml"), "-f", filepath.Join(artifacts, "admission.yaml"))
	if err := a.cp.AggregateClusterRoles(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.must("", world)
	return a
}

// of returns what is the same for a subtest.
func (a *admission) of(t *testing.T) *admission {
	return &admission{T: t, cp: a.cp, folder: a.folder, kubeconfigs: a.kubeconfigs}
}

// kubectl runs kubectl as a user, or as the administrator, and returns all that
// it printed.
func (a *admission) kubectl(user, manifest string, args ...string) (string, error) {
	a.Helper()
	if user != "" {
		if a.kubeconfigs[user] == "" {
			config, err := a.cp.UserConfig(user)
			if err != nil {
				a.Fatal(err)
			}
			kubeconfig, err := controlplane.Kubeconfig(config)
			if err != nil {
				a.Fatal(err)
			}
			a.kubeconfigs[user] = filepath.Join(a.folder, user)
			if err := os.WriteFile(a.kubeconfigs[user], kubeconfig, 0o600); err != nil {
				a.Fatal(err)
			}
		}
		args = append(args, "--kubeconfig="+a.kubeconfigs[user])
	}
	cmd := a.cp.KubectlCommand(a.Context(), args...)
	cmd.Stdin = strings.NewReader("---\n" + manifest)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (a *admission) apply(user, manifest string, args ...string) (string, error) {
	a.Helper()
	return a.kubectl(user, manifest, append(args, "apply", "--server-side", "--force-conflicts", "-f", "-")...)
}

// must applies as the user, and returns the warnings.
func (a *admission) must(user, manifest string) string {
	a.Helper()
	out, err := a.apply(user, manifest)
	if err != nil {
		a.Fatalf("apply as %q: %v\n%s", user, err, out)
	}
	return out
}

// eventually tries to apply as the user until the outcome is the one that is
// wanted: policies, roles and profiles reach admission by watches. Nothing is
// changed meanwhile, since an update to the same spec is admitted.
func (a *admission) eventually(user, manifest string, done func(out string, err error) bool) string {
	a.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		out, err := a.apply(user, manifest, "--dry-run=server")
		if done(out, err) {
			return out
		}
		if time.Now().After(end) {
			a.Fatalf("apply as %q: %v\n%s", user, err, out)
		}
		select {
		case <-a.Context().Done():
			a.Fatal(a.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func hasAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// Who is there, and what they may. Everybody who is named after a policy may
// write what it judges, and lacks what it asks for.
const world = `
{apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-b}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: author}
rules:
- {apiGroups: [kollect.io], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: author, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: author}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: author}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: user-of-one}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: user-of-all}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-author}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: author}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: cluster-author}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: cluster-reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kollect-cluster-view}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: cluster-reader}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: editor, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: editor}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: use-one, namespace: team-a}
rules:
- {apiGroups: [""], resources: [serviceaccounts], resourceNames: [inventory], verbs: [use]}
- {apiGroups: [""], resources: [secrets], resourceNames: [lake], verbs: [get]}
- {apiGroups: [inventory.kollect.io], resources: [inventoryrows], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: use-one, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: use-one}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: user-of-one}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: use-all, namespace: team-a}
rules: [{apiGroups: [""], resources: [serviceaccounts], verbs: [use]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: use-all, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: use-all}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: user-of-all}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: inventory, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: inventory, namespace: team-a}]
---
{apiVersion: kollect.io/v1alpha1, kind: KollectClusterProfile, metadata: {name: maps}, spec: {resource: {kind: ConfigMap}}}
`
