package e2e

import (
	"slices"
	"testing"
)

// badInput is an object that is wrong, and what is to be said of it: in a
// condition, with the words, and in an event.
type badInput struct {
	name, manifest    string
	object, condition string
	words             []string // the reason, the field, and the mend
}

var badInputs = []badInput{
	{
		"CEL that does not compile",
		`{kind: KollectProfile, metadata: {name: bad-cel}, spec: {resource: {kind: ConfigMap}, attributes: [{name: broken, cel: "object.data.("}]}}`,
		"kollectprofile/bad-cel", "Ready", []string{"InvalidExpression", "spec.attributes[broken].cel"},
	},
	{
		"JSONPath that does not parse",
		`{kind: KollectProfile, metadata: {name: bad-path}, spec: {resource: {kind: ConfigMap}, attributes: [{name: broken, jsonPath: "{.data[}"}]}}`,
		"kollectprofile/bad-path", "Ready", []string{"InvalidExpression", "spec.attributes[broken].jsonPath"},
	},
	{
		"a kind that nothing serves",
		`{kind: KollectProfile, metadata: {name: bad-kind}, spec: {resource: {kind: Deployment}}}`,
		"kollectprofile/bad-kind", "Ready", []string{"ResourceNotFound", "spec.resource", "set group: apps"},
	},
	{
		"Secrets",
		`{kind: KollectProfile, metadata: {name: secrets}, spec: {resource: {kind: Secret}}}`,
		"kollectprofile/secrets", "Ready", []string{"SecretsRefused", "spec.resource", "choose another kind"},
	},
	{
		"a profile that does not exist",
		`{kind: KollectTarget, metadata: {name: no-profile}, spec: {profileRef: {name: nowhere}}}`,
		"kollecttarget/no-profile", "Ready", []string{"ProfileNotFound", "spec.profileRef", "NS/nowhere", "create it, or correct the reference"},
	},
	{
		"a match that is not CEL",
		`{kind: KollectTarget, metadata: {name: bad-match}, spec: {profileRef: {name: settings}, match: "object.metadata.name ="}}`,
		"kollecttarget/bad-match", "Ready", []string{"InvalidExpression", "spec.match"},
	},
	{
		"an attribute that objects do not have",
		`{kind: KollectProfile, metadata: {name: shapes}, spec: {resource: {kind: ConfigMap}, attributes: [{name: shape, cel: object.data.shape}]}}
---
{apiVersion: kollect.io/v1alpha1, kind: KollectTarget, metadata: {name: shapes}, spec: {profileRef: {name: shapes}}}`,
		"kollecttarget/shapes", "Extracted", []string{"NotFound", "shape", "NS/good"},
	},
	{
		"an expression that costs too much",
		`{kind: KollectProfile, metadata: {name: costly}, spec: {resource: {kind: ConfigMap}, attributes: [{name: huge, type: integer,
  cel: "object.data.list.split(',').map(a, object.data.list.split(',').map(b, object.data.list.split(',').map(c, 1).size()).size()).size()"}]}}
---
{apiVersion: kollect.io/v1alpha1, kind: KollectTarget, metadata: {name: costly}, spec: {profileRef: {name: costly}, names: [list]}}`,
		"kollecttarget/costly", "Extracted", []string{"CostExceeded", "huge", "NS/list"},
	},
	{
		"a sink that does not exist",
		`{kind: KollectInventory, metadata: {name: no-sink}, spec: {targetSelector: {matchLabels: {good: "yes"}}, sinkRefs: [{name: nowhere}]}}`,
		"kollectinventory/no-sink", "Exported", []string{"SinkNotFound", "spec.sinkRefs", "NS/nowhere", "create it, or correct the reference"},
	},
	{
		"a Secret that does not exist, and may not be read",
		`{kind: KollectSink, metadata: {name: no-secret}, spec: {type: objectStore, objectStore: {url: "s3://bucket"}, secretRef: {name: nowhere}}}`,
		"kollectsink/no-secret", "Ready", []string{"SecretForbidden", "spec.secretRef", "NS/nowhere", "RoleBinding"},
	},
	{
		"a sink that is not ready",
		`{kind: KollectInventory, metadata: {name: bad-sink}, spec: {targetSelector: {matchLabels: {good: "yes"}}, sinkRefs: [{name: no-secret}]}}`,
		"kollectinventory/bad-sink", "Exported", []string{"SinkNotReady", "sink no-secret", "spec.secretRef", "NS/nowhere"},
	},
	{
		"a tenant's sink without credentials of its own",
		`{kind: KollectSink, metadata: {name: ambient}, spec: {type: objectStore, objectStore: {url: "s3://bucket"}}}`,
		"kollectsink/ambient", "Ready", []string{"OpenFailed", "spec.", "secretRef"},
	},
	{
		"a folder that is not below the root",
		`{kind: KollectSink, metadata: {name: outside}, spec: {type: objectStore, objectStore: {url: "file:///../outside"}}}`,
		"kollectsink/outside", "Ready", []string{"OpenFailed", "spec.objectStore.url"},
	},
	{
		"a NATS server where sinks may not connect",
		`{kind: KollectSink, metadata: {name: nats}, spec: {type: nats, nats: {url: "nats://169.254.169.254:4222", stream: KOLLECT}}}`,
		"kollectsink/nats", "Ready", []string{"OpenFailed", "spec.nats", "sinks may not connect to 169.254.169.254"},
	},
	{
		"a Kafka broker where sinks may not connect",
		`{kind: KollectSink, metadata: {name: kafka}, spec: {type: kafka, kafka: {brokers: ["169.254.169.254:9092"], topic: inventory}}}`,
		"kollectsink/kafka", "Ready", []string{"OpenFailed", "spec.kafka", "sinks may not connect to 169.254.169.254"},
	},
	{
		"an SSH server whose key nobody knows",
		`{kind: KollectSink, metadata: {name: git}, spec: {type: git, git: {url: "ssh://git.example.com/inventory.git"}}}`,
		"kollectsink/git", "Ready", []string{"OpenFailed", "spec.secretRef", "ssh-privatekey"},
	},
}

// What is wrong says so, in a condition and an event that name the field and the
// mend, and disturbs nothing beside it.
func TestBadInputSaysWhatToMend(t *testing.T) {
	s := begin(t, "bad-input")
	list := "0"
	for range 2000 {
		list += ",0"
	}
	s.put("good", "1")
	s.apply(settings + exported("good", "json") + `---
apiVersion: v1
kind: ConfigMap
metadata: {name: list}
data: {value: "2", tags: "", list: "` + list + `"}
---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: settings, labels: {good: "yes"}}
spec: {profileRef: {name: settings}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: good}
spec: {targetSelector: {matchLabels: {good: "yes"}}, sinkRefs: [{name: good}], exportMinInterval: 1s}
`)
	at := s.exports(s.ns, "good")
	s.wantRows("good", "good=1", "list=2")
	latest := s.wantExport(at, above(0, 2))
	s.wantHead(s.ns, "good", exportedAt(latest))
	check := s.unchanged(at)

	manifests := ""
	for _, bad := range badInputs {
		manifests += "---\n{apiVersion: kollect.io/v1alpha1, " + bad.manifest[1:] + "\n"
	}
	s.apply(manifests)
	for _, bad := range badInputs {
		t.Run(bad.name, func(t *testing.T) {
			s := *s
			s.T = t
			words := slices.Clone(bad.words)
			for i := range words {
				words[i] = s.inNamespace(words[i])
			}
			s.wantCondition(bad.object, bad.condition, "False", words...)
			s.wantEvent(bad.object, words...)
		})
	}

	t.Log("what the API server refuses itself")
	for _, refused := range []struct {
		manifest string
		words    []string
	}{
		{`{kind: KollectSink, metadata: {name: x}, spec: {type: objectStore, objectStore: {url: "ftp://x"}}}`, []string{"spec.objectStore.url", "must be s3://bucket"}},
		{`{kind: KollectSink, metadata: {name: x}, spec: {type: objectStore, objectStore: {url: "s3://key:secret@bucket"}}}`, []string{"spec.objectStore.url", "put them into a Secret"}},
		{`{kind: KollectSink, metadata: {name: x}, spec: {type: git, objectStore: {url: "s3://x"}}}`, []string{"spec.git", "must be set"}},
		{`{kind: KollectSink, metadata: {name: x}, spec: {type: objectStore, objectStore: {url: "s3://x"}, secretRef: {name: x, namespace: other}}}`, []string{"spec.secretRef.namespace", "remove it"}},
		{`{kind: KollectProfile, metadata: {name: x}, spec: {resource: {kind: ConfigMap}, attributes: [{name: x, jsonPath: "{.data"}]}}`, []string{"jsonPath", "must be one expression in braces"}},
		{`{kind: KollectInventory, metadata: {name: x}, spec: {exportMinInterval: 1ms}}`, []string{"spec.exportMinInterval", "at least 1s"}},
	} {
		err := s.tryApply("---\n{apiVersion: kollect.io/v1alpha1, " + refused.manifest[1:])
		if err == nil {
			t.Errorf("the API server takes %s", refused.manifest)
			continue
		}
		if err := wantWords(refused.manifest, err.Error(), refused.words...); err != nil {
			t.Error(err)
		}
	}

	t.Log("the good inventory beside all that")
	check()
	for _, condition := range []string{"Ready", "Synced", "Exported"} {
		s.wantCondition("kinv/good", condition, "True")
	}
	s.put("good", "3")
	s.wantRows("good", "good=3", "list=2")
	s.wantExport(at, above(latest.Generation, 2))

	t.Log("what is mended is good")
	s.cp.MustKubectl(t, "patch", "kollectprofile", "bad-cel", "-n", s.ns, "--type=merge", "-p",
		`{"spec":{"attributes":[{"name":"broken","cel":"object.data.value"}]}}`)
	s.wantCondition("kollectprofile/bad-cel", "Ready", "True")
	s.cp.MustKubectl(t, "patch", "kollectinventory", "no-sink", "-n", s.ns, "--type=merge", "-p", `{"spec":{"sinkRefs":[{"name":"good"}]}}`)
	s.wantCondition("kollectinventory/no-sink", "Exported", "True")
}
