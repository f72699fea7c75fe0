package test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"kollect.io/kollect/pkg/apiserver"
	"kollect.io/kollect/test/controlplane"
)

const (
	artifacts       = "../artifacts"
	serverNamespace = "kollect-system"
	serverUser      = "system:serviceaccount:kollect-system:kollect-apiserver"
)

// The dev control plane has no controller manager: nothing aggregates
// ClusterRoles there, so the harness does, by the same rule, and what the API
// server's authorizer then answers is checked. Pods are not run either; that
// the Deployment's would be admitted is asked with a dry run.
func TestArtifactsOnAControlPlane(t *testing.T) {
	readArtifacts(t)
	cp := controlplane.ForTest(t, controlplane.Options{})
	client := kubernetes.NewForConfigOrDie(cp.Config())

	cp.MustKubectl(t, "apply", "--server-side", "-k", artifacts)
	cp.MustKubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	t.Run("applying again changes nothing", func(t *testing.T) {
		if out, err := cp.Kubectl(t.Context(), "diff", "--server-side", "-k", artifacts); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
	})
	cp.MustKubectl(t, "apply", "--server-side", "-f", filepath.Join(artifacts, "examples"))
	if err := cp.AggregateClusterRoles(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp.MustKubectl(t, "create", "rolebinding", "--namespace=team-a", "viewers", "--clusterrole=view", "--group=viewers")
	cp.MustKubectl(t, "create", "rolebinding", "--namespace=team-a", "editors", "--clusterrole=edit", "--group=editors")
	cp.MustKubectl(t, "create", "clusterrolebinding", "auditors", "--clusterrole=kollect-cluster-view", "--group=auditors")
	cp.MustKubectl(t, "create", "clusterrolebinding", "all", "--clusterrole=kollect-accessible-rows", "--group=everybody")

	t.Run("rights", func(t *testing.T) { checkRights(t, client) })
	t.Run("pods are admitted", func(t *testing.T) { checkPodIsAdmitted(t, client) })
}

// right is one request of a subject.
type right struct {
	user, group          string
	verb, apiGroup       string
	resource, name       string
	namespace            string
	subresource, because string
}

func (r right) String() string {
	return fmt.Sprintf("%s%s %s %s.%s/%s %s in %q", r.user, r.group, r.verb, r.resource, r.apiGroup, r.subresource, r.name, r.namespace)
}

func (r right) allowed(ctx context.Context, client kubernetes.Interface) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: r.user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: r.verb, Group: r.apiGroup, Resource: r.resource, Subresource: r.subresource, Name: r.name, Namespace: r.namespace,
		},
	}}
	if r.group != "" {
		review.Spec.Groups = []string{r.group}
	}
	review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

const (
	config  = "kollect.io"
	served  = "inventory.kollect.io"
	rbacAPI = "rbac.authorization.k8s.io"
)

var granted = []right{
	{user: serverUser, verb: "list", apiGroup: "apps", resource: "deployments", because: "view reads them, in any namespace"},
	{user: serverUser, verb: "watch", resource: "configmaps", namespace: "team-b"},
	{user: serverUser, verb: "list", resource: "nodes", because: "an example adds them"},
	{user: serverUser, verb: "watch", resource: "namespaces"},
	{user: serverUser, verb: "watch", apiGroup: config, resource: "kollectclusterinventories"},
	{user: serverUser, verb: "update", apiGroup: config, resource: "kollectinventories", subresource: "status", namespace: "team-a"},
	{user: serverUser, verb: "create", apiGroup: "authorization.k8s.io", resource: "subjectaccessreviews"},
	{user: serverUser, verb: "create", apiGroup: "authentication.k8s.io", resource: "tokenreviews"},
	{user: serverUser, verb: "get", resource: "configmaps", name: "extension-apiserver-authentication", namespace: "kube-system"},
	{user: serverUser, verb: "watch", apiGroup: "flowcontrol.apiserver.k8s.io", resource: "flowschemas"},
	{user: serverUser, verb: "watch", apiGroup: "flowcontrol.apiserver.k8s.io", resource: "prioritylevelconfigurations"},
	{user: serverUser, verb: "create", resource: "events", namespace: "team-a"},
	{user: serverUser, verb: "patch", resource: "events", namespace: "team-a", because: "one that recurs is counted"},
	{user: serverUser, verb: "update", apiGroup: "coordination.k8s.io", resource: "leases", name: "kollect-apiserver", namespace: serverNamespace},
	{user: serverUser, verb: "create", resource: "secrets", namespace: serverNamespace},
	{user: serverUser, verb: "update", resource: "secrets", name: "kollect-apiserver-certs", namespace: serverNamespace},
	{user: serverUser, verb: "get", resource: "secrets", name: "portal-dsn", namespace: serverNamespace, because: "cluster sinks keep theirs there"},
	{user: serverUser, verb: "get", resource: "secrets", name: "lake-credentials", namespace: "team-a", because: "the example's Role grants it"},
	{user: serverUser, verb: "patch", apiGroup: "apiregistration.k8s.io", resource: "apiservices", name: "v1alpha1.inventory.kollect.io"},
	{user: "system:serviceaccount:team-a:inventory", verb: "list", apiGroup: "apps", resource: "deployments", namespace: "team-a"},
	{group: "viewers", verb: "watch", apiGroup: served, resource: "inventories", namespace: "team-a"},
	{group: "viewers", verb: "list", apiGroup: served, resource: "inventoryrows", namespace: "team-a"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "inventories", subresource: "snapshot", name: "apps", namespace: "team-a"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "inventories", subresource: "diff", name: "apps", namespace: "team-a"},
	{group: "viewers", verb: "list", apiGroup: config, resource: "kollecttargets", namespace: "team-a"},
	{group: "editors", verb: "list", apiGroup: served, resource: "inventoryrows", namespace: "team-a"},
	{group: "editors", verb: "create", apiGroup: config, resource: "kollecttargets", namespace: "team-a"},
	{group: "editors", verb: "delete", apiGroup: config, resource: "kollectsinks", namespace: "team-a"},
	{group: "auditors", verb: "list", apiGroup: served, resource: "clusterinventoryrows"},
	{group: "auditors", verb: "get", apiGroup: served, resource: "clusterinventories", subresource: "snapshot", name: "platform"},
	{group: "auditors", verb: "get", apiGroup: served, resource: "clusterinventories", subresource: "diff", name: "platform"},
	{group: "auditors", verb: "get", apiGroup: config, resource: "kollectclustersinks"},
	{group: "everybody", verb: "list", apiGroup: served, resource: "accessiblerows"},
	{group: "everybody", verb: "watch", apiGroup: served, resource: "accessiblerows", namespace: "team-a"},
}

var denied = []right{
	{user: serverUser, verb: "list", resource: "secrets"},
	{user: serverUser, verb: "list", resource: "secrets", namespace: "team-a"},
	{user: serverUser, verb: "get", resource: "secrets", name: "other", namespace: "team-a"},
	{user: serverUser, verb: "list", resource: "secrets", namespace: serverNamespace},
	{user: serverUser, verb: "update", resource: "secrets", name: "portal-dsn", namespace: serverNamespace},
	{user: serverUser, verb: "delete", resource: "secrets", name: "kollect-apiserver-certs", namespace: serverNamespace},
	{user: serverUser, verb: "update", apiGroup: config, resource: "kollectinventories", namespace: "team-a"},
	{user: serverUser, verb: "patch", apiGroup: config, resource: "kollectinventories", subresource: "status", namespace: "team-a"},
	{user: serverUser, verb: "create", apiGroup: config, resource: "kollecttargets", namespace: "team-a"},
	{user: serverUser, verb: "create", apiGroup: "events.k8s.io", resource: "events", namespace: "team-a"},
	{user: serverUser, verb: "patch", resource: "secrets", name: "kollect-apiserver-certs", namespace: serverNamespace},
	{user: serverUser, verb: "patch", apiGroup: "coordination.k8s.io", resource: "leases", name: "kollect-apiserver", namespace: serverNamespace},
	{user: serverUser, verb: "update", apiGroup: "apiregistration.k8s.io", resource: "apiservices", name: "v1alpha1.inventory.kollect.io"},
	{user: serverUser, verb: "update", apiGroup: "apiregistration.k8s.io", resource: "apiservices", name: "v1.apps"},
	{user: serverUser, verb: "create", apiGroup: "apiregistration.k8s.io", resource: "apiservices"},
	{user: serverUser, verb: "update", apiGroup: "coordination.k8s.io", resource: "leases", namespace: "kube-system"},
	{user: serverUser, verb: "patch", apiGroup: "apps", resource: "deployments", namespace: serverNamespace},
	{user: serverUser, verb: "create", resource: "pods", namespace: serverNamespace},
	{user: serverUser, verb: "create", resource: "serviceaccounts", subresource: "token", namespace: serverNamespace},
	{user: serverUser, verb: "impersonate", resource: "users"},
	{user: serverUser, verb: "bind", apiGroup: rbacAPI, resource: "clusterroles"},
	{user: serverUser, verb: "escalate", apiGroup: rbacAPI, resource: "clusterroles"},
	{user: "system:serviceaccount:team-a:inventory", verb: "list", apiGroup: "apps", resource: "deployments", namespace: "team-b"},
	{group: "viewers", verb: "create", apiGroup: config, resource: "kollecttargets", namespace: "team-a"},
	{group: "viewers", verb: "list", apiGroup: served, resource: "inventoryrows", namespace: "team-b"},
	{group: "viewers", verb: "list", apiGroup: served, resource: "clusterinventoryrows"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "inventories", subresource: "snapshot", name: "apps", namespace: "team-b"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "inventories", subresource: "diff", name: "apps", namespace: "team-b"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "clusterinventories", subresource: "snapshot", name: "platform"},
	{group: "viewers", verb: "get", apiGroup: served, resource: "clusterinventories", subresource: "diff", name: "platform"},
	{group: "editors", verb: "create", apiGroup: config, resource: "kollectclustertargets"},
	{group: "editors", verb: "list", apiGroup: config, resource: "kollectclustersinks"},
	{group: "editors", verb: "update", apiGroup: config, resource: "kollectinventories", subresource: "status", namespace: "team-a"},
	{group: "auditors", verb: "create", apiGroup: config, resource: "kollectclusterprofiles"},
	{group: "everybody", verb: "list", apiGroup: served, resource: "inventoryrows", namespace: "team-a"},
	{group: "everybody", verb: "list", apiGroup: served, resource: "inventories"},
	{group: "viewers", verb: "list", apiGroup: served, resource: "accessiblerows", namespace: "team-a", because: "it is aggregated nowhere"},
}

func checkRights(t *testing.T, client kubernetes.Interface) {
	// The authorizer learns of roles by watching: all of them, once the last
	// right that is expected is there.
	for _, r := range granted {
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			return r.allowed(ctx, client)
		})
		if err != nil {
			t.Errorf("%s: not allowed (%s): %v", r, r.because, err)
		}
	}
	for _, r := range denied {
		allowed, err := r.allowed(t.Context(), client)
		if err != nil {
			t.Errorf("%s: %v", r, err)
		}
		if allowed {
			t.Errorf("%s: allowed", r)
		}
	}
}

// The namespace enforces the restricted Pod security standard, and admission
// judges the Deployment's pod by it.
func checkPodIsAdmitted(t *testing.T, client kubernetes.Interface) {
	deployment, err := client.AppsV1().Deployments(serverNamespace).Get(t.Context(), "kollect-apiserver", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kollect-apiserver-", Labels: deployment.Spec.Template.Labels},
		Spec:       deployment.Spec.Template.Spec,
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := client.CoreV1().Pods(serverNamespace).Create(t.Context(), pod, dryRun); err != nil {
		t.Errorf("pod of the Deployment: %v", err)
	}
	pod.Spec.Containers[0].SecurityContext = nil
	if _, err := client.CoreV1().Pods(serverNamespace).Create(t.Context(), pod, dryRun); err == nil {
		t.Error("a pod without a security context is admitted: the namespace does not enforce the restricted standard")
	}
}

// readArtifacts opens every file that kubectl will read: go test then knows that
// its cached result depends on them.
func readArtifacts(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(artifacts, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// render returns the objects of the kustomization.
func render(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	readArtifacts(t)
	binaries, err := controlplane.Binaries(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binaries.Kubectl, "kustomize", artifacts).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v", err)
	}
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

// find converts the one object of a kind, of this name, or of any.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) *T {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() != kind {
			continue
		}
		out := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, out, true); err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Fatalf("no %s", kind)
	return nil
}

func TestArtifactsInstallEveryCRD(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(artifacts, "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crds := 0
	for _, object := range render(t) {
		if object.GetKind() == "CustomResourceDefinition" {
			crds++
		}
	}
	if crds == 0 || crds != len(files) {
		t.Errorf("the kustomization has %d CRDs, the folder %d", crds, len(files))
	}
}

func TestAPIServiceIsNeverInsecure(t *testing.T) {
	type apiService struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              map[string]any `json:"spec"`
	}
	service := find[apiService](t, render(t), "APIService")
	if value, set := service.Spec["insecureSkipTLSVerify"]; set {
		t.Errorf("insecureSkipTLSVerify is %v", value)
	}
	if service.Name != "v1alpha1.inventory.kollect.io" {
		t.Errorf("APIService %s", service.Name)
	}
}

func TestRolesHaveNoWildcards(t *testing.T) {
	for _, object := range render(t) {
		if object.GetKind() != "ClusterRole" && object.GetKind() != "Role" {
			continue
		}
		role := &rbacv1.ClusterRole{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
				if slices.Contains(words, "*") {
					t.Errorf("%s has a wildcard in %v", role.Name, rule)
				}
			}
			if object.GetKind() == "ClusterRole" && slices.Contains(rule.Resources, "secrets") {
				t.Errorf("%s grants Secrets in the whole cluster", role.Name)
			}
		}
	}
}

func TestDeploymentStaysUpAndContained(t *testing.T) {
	deployment := find[appsv1.Deployment](t, render(t), "Deployment")
	if replicas := deployment.Spec.Replicas; replicas == nil || *replicas < 2 {
		t.Errorf("replicas %v", replicas)
	}
	if unavailable := deployment.Spec.Strategy.RollingUpdate.MaxUnavailable; unavailable == nil || unavailable.IntValue() != 0 {
		t.Errorf("maxUnavailable %v", unavailable)
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
		t.Error("the root filesystem can be written")
	}
	if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
		t.Errorf("resources %v", container.Resources)
	}
	for probe, want := range map[*corev1.Probe]string{
		container.LivenessProbe: "/livez", container.ReadinessProbe: "/readyz", container.StartupProbe: "/livez",
	} {
		if probe == nil || probe.HTTPGet.Path != want || probe.HTTPGet.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("probe %v, want HTTPS on %s", probe, want)
		}
	}
}

func TestDeploymentPassesFlagsThatTheServerTakes(t *testing.T) {
	objects := render(t)
	container := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec.Containers[0]
	options := apiserver.NewOptions()
	flags := pflag.NewFlagSet("kollect-apiserver", pflag.ContinueOnError)
	for _, set := range options.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	cluster := find[corev1.ConfigMap](t, objects, "ConfigMap").Data["clusterName"]
	var args []string
	for _, arg := range container.Args {
		args = append(args, strings.ReplaceAll(arg, "$(CLUSTER_NAME)", cluster))
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := options.Validate(); err != nil {
		t.Error(err)
	}
	if got := options.CertSecret; got != serverNamespace+"/kollect-apiserver-certs" {
		t.Errorf("the rights are for the Secret kollect-apiserver-certs, the server keeps %s", got)
	}
	if flags.Changed("cert-dir") {
		t.Error("--cert-dir is not read when there is --cert-secret")
	}
}
