package integration

import (
	"strings"
	"testing"
)

// What is wrong with one object is said in its conditions and in an event, and
// disturbs no other.
func TestConfigurationErrorsAreConditions(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	c.apply(namespace("a") + configMaps("a", "one") + colors + grant("a", "default", "a") + `---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: good, namespace: a}
spec: {profileRef: {kind: KollectClusterProfile, name: colors}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: good, namespace: a}
spec: {targetSelector: {matchExpressions: [{key: bad, operator: DoesNotExist}]}, sinkRefs: [{name: good}]}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: good, namespace: a}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///good", format: json}}
`)
	c.wantRows("a", "good", "one")
	c.wantExported("good", "a", "good")

	for _, tc := range []struct {
		name, manifests           string
		resource, object          string
		condition, status, reason string
		words                     []string
	}{
		{
			name: "CEL that does not compile",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectProfile, metadata: {name: bad-cel, namespace: a},
spec: {resource: {kind: ConfigMap}, attributes: [{name: broken, cel: "object.data."}, {name: fine, cel: object.metadata.name}]}}`,
			resource: "kollectprofiles", object: "bad-cel",
			condition: "Ready", status: "False", reason: "InvalidExpression", words: []string{"spec.attributes[broken].cel"},
		},
		{
			name: "a kind that nothing serves",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectProfile, metadata: {name: bad-kind, namespace: a},
spec: {resource: {group: example.com, kind: Gateway}}}`,
			resource: "kollectprofiles", object: "bad-kind",
			condition: "Ready", status: "False", reason: "ResourceNotFound", words: []string{"spec.resource", "Gateway", "example.com", "install"},
		},
		{
			name: "Secrets",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectProfile, metadata: {name: secrets, namespace: a},
spec: {resource: {kind: Secret}}}`,
			resource: "kollectprofiles", object: "secrets",
			condition: "Ready", status: "False", reason: "SecretsRefused", words: []string{"spec.secretValues", "Allow", "choose another kind"},
		},
		{
			name: "the server's own rows",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectProfile, metadata: {name: rows, namespace: a},
spec: {resource: {group: inventory.kollect.io, kind: InventoryRow}}}`,
			resource: "kollectprofiles", object: "rows",
			condition: "Ready", status: "False", reason: "OwnAPIRefused", words: []string{"spec.resource", "choose a kind of another group"},
		},
		{
			name: "a profile that does not exist",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectTarget, metadata: {name: no-profile, namespace: a, labels: {bad: "1"}},
spec: {profileRef: {name: nowhere}}}`,
			resource: "kollecttargets", object: "no-profile",
			condition: "Ready", status: "False", reason: "ProfileNotFound", words: []string{"spec.profileRef", "KollectProfile a/nowhere", "create it"},
		},
		{
			name: "a match that does not compile",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectTarget, metadata: {name: bad-match, namespace: a, labels: {bad: "1"}},
spec: {profileRef: {kind: KollectClusterProfile, name: colors}, match: "object.metadata.name ="}}`,
			resource: "kollecttargets", object: "bad-match",
			condition: "Ready", status: "False", reason: "InvalidExpression", words: []string{"spec.match"},
		},
		{
			name: "an attribute that objects do not have",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectClusterProfile, metadata: {name: shapes},
spec: {resource: {kind: ConfigMap}, attributes: [{name: shape, cel: object.data.shape}]}}
---
{apiVersion: kollect.io/v1alpha1, kind: KollectTarget, metadata: {name: shapes, namespace: a, labels: {bad: "1"}},
spec: {profileRef: {kind: KollectClusterProfile, name: shapes}, names: [one]}}`,
			resource: "kollecttargets", object: "shapes",
			condition: "Extracted", status: "False", reason: "NotFound", words: []string{"shape", "a/one"},
		},
		{
			name: "a sink that does not exist",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectInventory, metadata: {name: no-sink, namespace: a},
spec: {sinkRefs: [{name: nowhere}]}}`,
			resource: "kollectinventories", object: "no-sink",
			condition: "Exported", status: "False", reason: "SinkNotFound", words: []string{"spec.sinkRefs", "KollectSink a/nowhere", "create it"},
		},
		{
			name: "a sink of a type that is not built",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectSink, metadata: {name: http, namespace: a},
spec: {type: http, http: {url: "https://portal.example.com/inventory"}}}`,
			resource: "kollectsinks", object: "http",
			condition: "Ready", status: "False", reason: "NotImplemented", words: []string{"spec.type", "http", "not available in this version"},
		},
		{
			name: "a Secret that does not exist",
			manifests: `{apiVersion: kollect.io/v1alpha1, kind: KollectSink, metadata: {name: no-secret, namespace: a},
spec: {type: objectStore, objectStore: {url: "file:///x"}, secretRef: {name: nowhere}}}`,
			resource: "kollectsinks", object: "no-secret",
			condition: "Ready", status: "False", reason: "SecretNotFound", words: []string{"spec.secretRef", "a/nowhere", "create it"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := *c
			c.T = t
			c.apply(tc.manifests)
			c.wantCondition(tc.resource, "a", tc.object, tc.condition, tc.status, tc.reason, tc.words...)
			if tc.status == "False" {
				c.wantEvent("a", tc.object, tc.reason, tc.words[0])
			}
		})
	}

	// An inventory that selects targets which can not be collected says so, and
	// what it would export is held back.
	c.wantCondition("kollectinventories", "a", "no-sink", "Synced", "False", "NotSynced", "a/no-profile: spec.profileRef")
	c.apply(configMaps("a", "two"))
	c.wantRows("a", "good", "one", "two")
	c.wantExported("good", "a", "good")

	// What was in effect stays in effect while its configuration is broken.
	c.cp.MustKubectl(t, "patch", "kollecttarget", "good", "-n", "a", "--type=merge", "-p", `{"spec":{"match":"object."}}`)
	c.wantCondition("kollecttargets", "a", "good", "Ready", "False", "InvalidExpression", "spec.match")
	c.wantCondition("kollecttargets", "a", "good", "Stale", "True", "Stale", "spec.match")
	c.wantRows("a", "good", "one", "two")
	c.cp.MustKubectl(t, "patch", "kollecttarget", "good", "-n", "a", "--type=merge", "-p", `{"spec":{"match":"object.metadata.name == 'two'"}}`)
	c.wantRows("a", "good", "two")
	c.wantCondition("kollecttargets", "a", "good", "Stale", "False", "Fresh")
	c.cp.MustKubectl(t, "patch", "kollecttarget", "good", "-n", "a", "--type=merge", "-p", `{"spec":{"suspend":true,"match":null}}`)
	c.wantCondition("kollecttargets", "a", "good", "Stale", "True", "Stale", "spec.suspend")
	c.apply(configMaps("a", "three"))
	c.wantRows("a", "good", "two")
	c.cp.MustKubectl(t, "patch", "kollecttarget", "good", "-n", "a", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	c.until(func() string {
		if s := c.snapshot("a", "good"); s.Len() >= 3 {
			return ""
		}
		return "the target does not go on"
	})
}

const widgets = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func TestAKindThatAppearsLaterIsCollected(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	c.apply(namespace("a") + configMaps("a", "one") + colors + `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterProfile
metadata: {name: widgets}
spec: {resource: {group: example.com, kind: Widget}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: widgets}
spec: {profileRef: {name: widgets}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: maps}
spec: {profileRef: {name: colors}, selector: {matchLabels: {app: demo}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: lake}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///lake", format: json}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: platform}
spec: {sinkRefs: [{name: lake}]}
`)
	// The target whose kind is missing delays no other, and holds back the sink.
	c.wantRows("", "platform", "one")
	c.wantCondition("kollectclusterprofiles", "", "widgets", "Ready", "False", "ResourceNotFound", "Widget")
	c.wantCondition("kollectclustertargets", "", "widgets", "Ready", "False", "ProfileNotReady", "Widget")
	c.wantCondition("kollectclusterinventories", "", "platform", "Exported", "False", "WaitingForTargets", "waiting for targets widgets")
	if mark := c.exported("lake", *c.snapshot("", "platform").Inventory()); mark.Generation != 0 {
		t.Errorf("exported before every target was synced: %+v", mark)
	}
	c.apply(widgets)
	c.cp.MustKubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "widgets.example.com")
	c.apply("{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: a}}")
	c.wantRows("", "platform", "one", "w")
	c.wantExported("lake", "", "platform")
	c.wantCondition("kollectclusterinventories", "", "platform", "Exported", "True", "Exported")

	// A kind that goes takes no rows away that were not seen to go.
	c.cp.MustKubectl(t, "delete", "kollectclustertarget", "widgets")
	c.wantRows("", "platform", "one")
}

func TestServiceAccountsBoundWhatIsCollected(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	c.apply(namespace("a", "team: a") + namespace("b", "team: a") + namespace("c", "team: c") +
		configMaps("a", "in-a") + configMaps("b", "in-b") + configMaps("c", "in-c") + colors + `---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: maps, namespace: a}
spec:
  profileRef: {kind: KollectClusterProfile, name: colors}
  serviceAccountName: collector
  selector: {matchLabels: {app: demo}}
  namespaces: {selector: {matchLabels: {team: a}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: maps, namespace: a}
`)
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "False", "Forbidden",
		"spec.serviceAccountName", "a/collector", "configmaps", "a, b", "RoleBinding", "verbs: [list, watch]")
	c.wantRows("a", "maps")
	c.apply(grant("a", "collector", "a"))
	c.wantRows("a", "maps", "in-a")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "False", "PartlyForbidden", "in b")
	c.apply(grant("b", "collector", "a"))
	c.wantRows("a", "maps", "in-a", "in-b")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "True", "Ready")

	// A namespace that comes into the selection is asked for too.
	c.cp.MustKubectl(t, "label", "namespace", "c", "team=a", "--overwrite")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "False", "PartlyForbidden", "in c")
	c.apply(grant("c", "collector", "a"))
	c.wantRows("a", "maps", "in-a", "in-b", "in-c")

	// A right that is revoked takes the rows away.
	c.cp.MustKubectl(t, "delete", "rolebinding", "-n", "b", "collect-collector")
	c.wantRows("a", "maps", "in-a", "in-c")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "False", "PartlyForbidden",
		"spec.serviceAccountName", "a/collector", "list and watch configmaps", "in b:", "RoleBinding",
		`{apiGroups: [""], resources: ["configmaps"], verbs: [list, watch]}`)
	c.wantEvent("a", "maps", "PartlyForbidden", "a/collector")

	// Half of the right is none, and the rows of what is left stay.
	c.apply(strings.ReplaceAll(grant("c", "collector", "a"), "verbs: [list, watch]", "verbs: [list]"))
	c.wantRows("a", "maps", "in-a")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "False", "PartlyForbidden", "in b, c:")

	// What is granted again comes back.
	c.apply(grant("b", "collector", "a") + grant("c", "collector", "a"))
	c.wantRows("a", "maps", "in-a", "in-b", "in-c")
	c.wantCondition("kollecttargets", "a", "maps", "Ready", "True", "Ready")
}

// The values of Secrets are collected where the profile says so, by a target
// whose service account may read them, and leave when the profile does not.
func TestSecretsAreCollectedByOptIn(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	profile := func(values string) string {
		return `---
apiVersion: kollect.io/v1alpha1
kind: KollectProfile
metadata: {name: tokens, namespace: a}
spec:
  resource: {kind: Secret}
  secretValues: ` + values + `
  attributes: [{name: token, cel: object.data.token}]
`
	}
	c.apply(namespace("a") + profile("Refuse") + strings.ReplaceAll(grant("a", "default", "a"), "configmaps", "secrets") + `---
{apiVersion: v1, kind: Secret, metadata: {name: one, namespace: a}, stringData: {token: opened}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: tokens, namespace: a}
spec: {profileRef: {name: tokens}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: lake, namespace: a}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///lake", format: json}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: tokens, namespace: a}
spec: {sinkRefs: [{name: lake}]}
`)
	c.wantCondition("kollectprofiles", "a", "tokens", "Ready", "False", "SecretsRefused", "spec.secretValues", "Allow")
	c.wantCondition("kollecttargets", "a", "tokens", "Ready", "False", "ProfileNotReady", "spec.secretValues")
	c.wantRows("a", "tokens")

	c.apply(profile("Allow"))
	c.wantCondition("kollectprofiles", "a", "tokens", "SecretValues", "True", "Allowed", "who may read the rows")
	c.wantRows("a", "tokens", "one")
	c.wantExported("lake", "a", "tokens")
	for e := range c.snapshot("a", "tokens").All() {
		if got := string(e.Row.Attributes()); got != `{"token":"b3BlbmVk"}` {
			t.Errorf("attributes %s", got)
		}
	}
	if out := c.cp.MustKubectl(t, "get", "kollectprofiles", "-n", "a"); !strings.Contains(out, "SECRETS") || !strings.Contains(out, "Allow") {
		t.Errorf("the opt-in is not shown:\n%s", out)
	}
	if out := c.cp.MustKubectl(t, "get", "kollect,events", "-n", "a", "-o", "yaml"); strings.Contains(out, "b3BlbmVk") {
		t.Error("a status or an event has the value of a Secret")
	}

	c.apply(profile("Refuse"))
	c.wantRows("a", "tokens")
	if mark := c.wantExported("lake", "a", "tokens"); mark.Rows != 0 {
		t.Errorf("%d rows are still exported", mark.Rows)
	}
	c.wantCondition("kollectprofiles", "a", "tokens", "Ready", "False", "SecretsRefused")
}

func TestSecretsOfSinksAreReadAgain(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	secret := func(token string) string {
		return strings.ReplaceAll(`{apiVersion: v1, kind: Secret, metadata: {name: token, namespace: a}, stringData: {token: TOKEN}}`, "TOKEN", token)
	}
	c.apply(namespace("a") + configMaps("a", "one") + colors + grant("a", "default", "a") + `---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: maps, namespace: a}
spec: {profileRef: {kind: KollectClusterProfile, name: colors}, selector: {matchLabels: {app: demo}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: locked, namespace: a}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///locked", format: json}, secretRef: {name: token}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: open, namespace: a}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///open", format: json}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: maps, namespace: a}
spec: {sinkRefs: [{name: locked}, {name: open}]}
`)
	// The one that is not ready delays no other.
	c.wantExported("open", "a", "maps")
	c.wantCondition("kollectsinks", "a", "locked", "Ready", "False", "SecretNotFound", "a/token")
	c.wantCondition("kollectinventories", "a", "maps", "Exported", "False", "SinkNotReady", "sink locked", "a/token")
	c.apply(secret("wrong"))
	c.wantCondition("kollectsinks", "a", "locked", "Ready", "False", "OpenFailed", "does not accept the token")
	c.apply(secret("right"))
	c.wantExported("locked", "a", "maps")
	c.wantCondition("kollectsinks", "a", "locked", "Ready", "True", "Ready")
	c.wantCondition("kollectinventories", "a", "maps", "Exported", "True", "Exported")
	c.apply(secret("rotated"))
	c.wantCondition("kollectsinks", "a", "locked", "Ready", "False", "OpenFailed")
	if out := c.cp.MustKubectl(t, "get", "kollectsinks,kollectinventories,events", "-n", "a", "-o", "yaml"); strings.Contains(out, "rotated") {
		t.Error("a status or an event has a secret")
	}
}
