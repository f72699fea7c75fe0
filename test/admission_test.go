package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kollect.io/kollect/test/controlplane"
)

func object(kind, name, spec string) string {
	namespace := ", namespace: team-a"
	if strings.HasPrefix(kind, "KollectCluster") {
		namespace = ""
	}
	return "{apiVersion: kollect.io/v1alpha1, kind: " + kind + ", metadata: {name: " + name + namespace + "}, spec: {" + spec + "}}\n"
}

func TestAuthorsAreDeniedWhatTheyMayNotUse(t *testing.T) {
	a := newAdmission(t)
	target := func(spec string) string {
		return object("KollectTarget", "maps", "profileRef: {kind: KollectClusterProfile, name: maps}"+spec)
	}
	inventory, strong := target(", serviceAccountName: inventory"), target(", serviceAccountName: strong")
	profile := object("KollectProfile", "maps", "resource: {kind: ConfigMap}")
	secrets := object("KollectProfile", "secrets", "resource: {kind: Secret}, secretValues: Allow")
	file := `type: objectStore, objectStore: {url: "file:///lake"}`
	sink := object("KollectSink", "lake", file)
	withSecret := object("KollectSink", "lake", file+", secretRef: {name: lake}")
	withAnother := object("KollectSink", "lake", file+", secretRef: {name: other}")
	clusterSink := object("KollectClusterSink", "lake", file+", secretRef: {namespace: team-b, name: lake}")
	sends := object("KollectInventory", "maps", "sinkRefs: [{name: lake}]")
	for _, tc := range []struct {
		name, user, manifest string
		denied               []string // nothing: admitted
	}{
		{"a service account that one may not use", "author", inventory, []string{"spec.serviceAccountName: you may not use service account inventory of namespace team-a", "resourceNames: [inventory], verbs: [use]"}},
		{"the service account that is the default", "author", target(""), []string{"you may not use service account default of namespace team-a"}},
		{"no service account", "user-of-one", target(", serviceAccountName: ''"), []string{"service account default"}},
		{"a stronger service account", "user-of-one", strong, []string{"service account strong"}},
		{"a service account that one may use", "user-of-one", inventory, nil},
		{"to go on with another", "user-of-one", strong, []string{"service account strong"}},
		{"what else the account collects", "author", target(", serviceAccountName: inventory, names: [other]"), []string{"service account inventory"}},
		{"any service account", "user-of-all", strong, nil},
		{"what another may use", "user-of-one", target(", serviceAccountName: strong, names: [other]"), []string{"service account strong"}},
		{"any service account to who edits the namespace", "editor", target(""), nil},

		{"a profile", "author", profile, []string{"spec: a profile is what every target of namespace team-a", "verbs: [use]}"}},
		{"a profile for one service account", "user-of-one", profile, []string{"use a KollectClusterProfile"}},
		{"a profile for all service accounts", "user-of-all", profile, nil},
		{"what a profile takes", "user-of-one", object("KollectProfile", "maps", "resource: {kind: Endpoints}"), []string{"use a KollectClusterProfile"}},
		{"a profile to who edits the namespace", "editor", object("KollectProfile", "maps", "resource: {kind: Endpoints}"), nil},
		{"a cluster profile", "cluster-author", object("KollectClusterProfile", "others", "resource: {kind: ConfigMap}"), nil},

		{"Secrets that one may not list", "user-of-all", secrets, []string{"spec.secretValues: Allow shows the values", "you may not list Secrets in namespace team-a", "leave it out"}},
		{"Secrets without their values", "user-of-all", object("KollectProfile", "secrets", "resource: {kind: Secret}"), nil},
		{"Secrets to who edits the namespace", "editor", secrets, nil},
		{"what is taken from Secrets", "user-of-all", object("KollectProfile", "secrets", "resource: {kind: Secret}, secretValues: Allow, attributes: [{name: a, cel: object.data.a}]"), []string{"spec.secretValues"}},
		{"Secrets no more", "user-of-all", object("KollectProfile", "secrets", "resource: {kind: Secret}, secretValues: Refuse"), nil},
		{"Secrets of all namespaces", "cluster-author", object("KollectClusterProfile", "secrets", "resource: {kind: Secret}, secretValues: Allow"), []string{"you may not list Secrets in every namespace"}},
		{"Secrets of all namespaces to the administrator", "", object("KollectClusterProfile", "secrets", "resource: {kind: Secret}, secretValues: Allow"), nil},

		{"rows that one may not list", "author", sends, []string{"spec.sinkRefs: you may not list inventoryrows.inventory.kollect.io in namespace team-a", "such as view"}},
		{"an inventory without sinks", "author", object("KollectInventory", "maps", ""), nil},
		{"rows that one may list", "user-of-one", sends, nil},
		{"rows of the cluster", "cluster-author", object("KollectClusterInventory", "all", "sinkRefs: [{name: lake}]"), []string{"clusterinventoryrows.inventory.kollect.io,", "kollect-cluster-view"}},
		{"a sink for rows that one may not list", "author", sink, []string{"spec: you may not list inventoryrows"}},
		{"a sink", "user-of-one", sink, nil},
		{"a sink with a Secret that one may read", "user-of-one", withSecret, nil},
		{"a sink with a Secret that one may not read", "user-of-one", withAnother, []string{"spec.secretRef: you may not get Secret team-a/other", "resourceNames: [other], verbs: [get]"}},
		{"a sink with a Secret to who edits the namespace", "editor", withAnother, nil},
		{"a cluster sink with a Secret", "cluster-reader", clusterSink, []string{"Secret team-b/lake"}},
		{"a cluster sink with a Secret to the administrator", "", clusterSink, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := a.of(t)
			out := a.eventually(tc.user, tc.manifest, func(out string, err error) bool {
				return (err == nil) == (tc.denied == nil) && hasAll(out, tc.denied)
			})
			switch {
			case tc.denied == nil:
				a.must(tc.user, tc.manifest)
			case !strings.Contains(out, "ValidatingAdmissionPolicy"):
				t.Errorf("denied by something else: %s", out)
			}
		})
	}

	t.Run("the server all but finalizers", func(t *testing.T) { a.of(t).testServer(t) })

	// Labels, finalizers and deletion are no use of anything.
	a.kubectlMust("author", "label", "kollecttarget", "maps", "-n", "team-a", "a=b")
	a.kubectlMust("author", "patch", "kollecttarget", "maps", "-n", "team-a", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/f"]}}`)
	a.kubectlMust("author", "delete", "kollecttarget", "maps", "-n", "team-a", "--wait=false")
	a.kubectlMust("author", "patch", "kollecttarget", "maps", "-n", "team-a", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
}

// What the server may patch inventories for is their finalizers.
func (a *admission) testServer(t *testing.T) {
	a.must("", object("KollectInventory", "kept", "deletionPolicy: Delete"))
	const server = "system:serviceaccount:kollect-system:kollect-apiserver"
	patch := func(patch string) (string, error) {
		return a.kubectl(server, "", "patch", "kollectinventory", "kept", "-n", "team-a", "--type=merge", "-p", patch)
	}
	for _, refused := range []string{
		`{"spec":{"deletionPolicy":"Retain"}}`, `{"metadata":{"labels":{"a":"b"}}}`, `{"metadata":{"annotations":{"a":"b"}}}`,
	} {
		controlplane.Until(t, 30*time.Second, func() error { // policies reach admission by watches
			if out, err := patch(refused); err == nil || !strings.Contains(out, "finalizers of inventories, and nothing else") {
				return fmt.Errorf("patch %s: %v, %s", refused, err, out)
			}
			return nil
		})
		a.kubectlMust("", "patch", "kollectinventory", "kept", "-n", "team-a", "--type=merge", "-p", `{"spec":{"deletionPolicy":"Delete"},"metadata":{"labels":null,"annotations":null}}`)
	}
	if out, err := patch(`{"metadata":{"finalizers":["kollect.io/forget"]}}`); err != nil {
		t.Errorf("the finalizer: %v, %s", err, out)
	}
	if out, err := patch(`{"metadata":{"finalizers":[]}}`); err != nil {
		t.Errorf("no finalizer: %v, %s", err, out)
	}
}

func (a *admission) kubectlMust(user string, args ...string) {
	a.Helper()
	if out, err := a.kubectl(user, "", args...); err != nil {
		a.Errorf("%v: %v\n%s", args, err, out)
	}
}

// resolve does what the server does when it has found a profile's resource.
func (a *admission) resolve(profile, resource string) {
	a.Helper()
	a.kubectlMust("", "patch", profile, "-n", "team-a", "--subresource=status", "--type=merge", "-p", `{"status":{"resource":"`+resource+`"}}`)
}

func TestAuthorsAreWarnedOfWhatIsNotCollected(t *testing.T) {
	a := newAdmission(t)
	a.must("", object("KollectClusterProfile", "deployments", "resource: {group: apps, kind: Deployment}")+"---\n"+
		object("KollectClusterProfile", "unresolved", "resource: {group: example.com, kind: Gateway}")+"---\n"+
		object("KollectClusterProfile", "secrets", "resource: {kind: Secret}, secretValues: Allow")+"---\n"+
		object("KollectProfile", "deployments", "resource: {kind: Service}")+"---\n"+
		object("KollectProfile", "own", "resource: {kind: Service}, attributes: []"))
	a.resolve("kollectclusterprofile/maps", "v1/configmaps")
	a.resolve("kollectclusterprofile/deployments", "apps/v1/deployments")
	a.resolve("kollectprofile/deployments", "v1/services")
	a.resolve("kollectprofile/own", "v1/services")
	target := func(kind, profile, account, more string) string {
		return object("KollectTarget", "hinted", "profileRef: {"+kind+"name: "+profile+"}, serviceAccountName: "+account+more)
	}
	const cluster = "kind: KollectClusterProfile, "
	for _, tc := range []struct {
		name, manifest string
		warned         []string // nothing: not at all
		not            string
	}{
		{"an account without rights", target(cluster, "maps", "strong", ""), []string{
			"spec.serviceAccountName: service account team-a/strong may not list configmaps in each of: team-a;",
			"may not watch configmaps", `{apiGroups: [""], resources: ["configmaps"], verbs: [list, watch]}`}, ""},
		{"an account with rights", target(cluster, "maps", "inventory", ""), nil, ""},
		{"a namespace without rights", target(cluster, "maps", "inventory", ", namespaces: {names: [team-a, team-b]}"), []string{"in each of: team-a, team-b;"}, ""},
		{"a namespace without rights that is excluded", target(cluster, "maps", "inventory", ", namespaces: {names: [team-a, team-b], exclude: [team-b]}"), nil, ""},
		{"namespaces by label", target(cluster, "maps", "strong", ", namespaces: {selector: {}}"), nil, ""},
		{"all but some namespaces", target(cluster, "maps", "strong", ", namespaces: {exclude: [team-b]}"), []string{"in each of: team-a;"}, ""},
		{"more namespaces than are looked at", target(cluster, "maps", "strong", ", namespaces: {names: [a, b, c, d]}"), []string{"in each of: a, b;"}, ""},
		{"a kind of a group", target(cluster, "deployments", "strong", ""), []string{"may not list deployments", `{apiGroups: ["apps"], resources: ["deployments"]`}, "services"},
		{"a profile of the namespace", target("", "own", "strong", ""), []string{"may not list services"}, ""},
		{"a profile of the same name", target("kind: KollectProfile, ", "deployments", "strong", ""), []string{"may not list services"}, "may not list deployments"},
		{"a kind that is not there yet", target(cluster, "unresolved", "strong", ""), nil, ""},
		{"no profile", target("", "nowhere", "strong", ""), nil, ""},
		{"the values of Secrets", target(cluster, "secrets", "strong", ""), []string{"spec.profileRef: secrets takes the values of Secrets", "inventoryrows in namespace team-a"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := a.of(t)
			a.eventually("editor", tc.manifest, func(out string, err error) bool {
				return err == nil && hasAll(out, tc.warned) && strings.Contains(out, "Warning:") == (tc.warned != nil) &&
					(tc.not == "" || !strings.Contains(out, tc.not))
			})
		})
	}
}

// A policy has one kind of parameter, so the hints are there twice.
func TestHintsAreTheSameForBothKindsOfProfile(t *testing.T) {
	policies := map[string]*unstructured.Unstructured{}
	for _, o := range render(t) {
		if o.GetKind() == "ValidatingAdmissionPolicy" {
			policies[o.GetName()] = o
		}
	}
	own, cluster := policies["kollect-target-hints"], policies["kollect-target-cluster-hints"]
	if own == nil || cluster == nil {
		t.Fatalf("the policies are %v", slices.Collect(maps.Keys(policies)))
	}
	for o, kind := range map[*unstructured.Unstructured]string{own: "KollectProfile", cluster: "KollectClusterProfile"} {
		if got, _, err := unstructured.NestedString(o.Object, "spec", "paramKind", "kind"); got != kind || err != nil {
			t.Errorf("%s has parameters of kind %s, want %s (%v)", o.GetName(), got, kind, err)
		}
		unstructured.RemoveNestedField(o.Object, "spec", "paramKind")
	}
	if diff := cmp.Diff(own.Object["spec"], cluster.Object["spec"]); diff != "" {
		t.Errorf("(-KollectProfile +KollectClusterProfile):\n%s", diff)
	}
}

func TestPoliciesAreBound(t *testing.T) {
	bound := map[string]string{}
	policies := map[string]string{}
	for _, o := range render(t) {
		switch o.GetKind() {
		case "ValidatingAdmissionPolicyBinding":
			name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
			actions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "validationActions")
			bound[name] = strings.Join(actions, ",")
		case "ValidatingAdmissionPolicy":
			// What denies fails closed; what only warns stands in nobody's way.
			onFailure, _, _ := unstructured.NestedString(o.Object, "spec", "failurePolicy")
			policies[o.GetName()] = map[string]string{"Fail": "Deny", "Ignore": "Warn"}[onFailure]
		}
	}
	if diff := cmp.Diff(policies, bound); diff != "" || len(policies) == 0 {
		t.Errorf("(-policies +bindings):\n%s", diff)
	}
}
