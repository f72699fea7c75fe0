package v1alpha1_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// invalid is an object that must be refused with one message, which starts with
// the field and says how to mend it.
type invalid struct{ name, object, field, mend string }

func profile(attributes string) string {
	return "{kind: KollectProfile, spec: {resource: {kind: Pod}, attributes: [" + attributes + "]}}"
}

func target(spec string) string {
	return "{kind: KollectTarget, spec: {profileRef: {name: p}, " + spec + "}}"
}

func inventory(spec string) string { return "{kind: KollectInventory, spec: {" + spec + "}}" }

func sink(spec string) string { return "{kind: KollectSink, spec: {" + spec + "}}" }

func bucket(spec string) string { return sink("type: objectStore, objectStore: {" + spec + "}") }

func repository(spec string) string { return sink("type: git, git: {" + spec + "}") }

var invalidProfiles = []invalid{
	{"no resource", "{kind: KollectProfile, spec: {}}", "spec.resource", "Required"},
	{"no kind", "{kind: KollectProfile, spec: {resource: {group: apps}}}", "spec.resource.kind", "Required"},
	{"a kind with a slash", "{kind: KollectProfile, spec: {resource: {kind: apps/Deployment}}}", "spec.resource.kind", "must be a kind, such as Deployment"},
	{"a group with capitals", "{kind: KollectClusterProfile, spec: {resource: {group: Apps, kind: Deployment}}}", "spec.resource.group", "must be an API group, such as apps"},
	{"a version with a group", "{kind: KollectProfile, spec: {resource: {version: apps/v1, kind: Deployment}}}", "spec.resource.version", "must be an API version, such as v1"},
	{"secret values of another kind", "{kind: KollectProfile, spec: {resource: {kind: ConfigMap}, secretValues: Allow}}", "spec.secretValues", "Allow is for profiles of the kind Secret: remove it"},
	{"secret values of another group", "{kind: KollectClusterProfile, spec: {resource: {group: example.com, kind: Secret}, secretValues: Allow}}", "spec.secretValues", "remove it"},
	{"secret values neither refused nor allowed", "{kind: KollectProfile, spec: {resource: {kind: Secret}, secretValues: allow}}", "spec.secretValues", `supported values: "Refuse", "Allow"`},
	{"cel and jsonPath", profile("{name: a, cel: object.kind, jsonPath: '{.kind}'}"), "spec.attributes[0]", "give exactly one of cel and jsonPath"},
	{"neither cel nor jsonPath", profile("{name: a}"), "spec.attributes[0]", "give exactly one of cel and jsonPath"},
	{"an empty cel", profile("{name: a, cel: ''}"), "spec.attributes[0].cel", "at least 1 chars"},
	{"a jsonPath without braces", profile("{name: a, jsonPath: .kind}"), "spec.attributes[0].jsonPath", "in braces, such as {.spec.replicas}"},
	{"an unknown type", profile("{name: a, cel: object.kind, type: int}"), "spec.attributes[0].type", `supported values: "string", "integer", "number", "boolean", "json"`},
	{"a promoted json", profile("{name: a, cel: object.spec, type: json, promoted: true}"), "spec.attributes[0].promoted", "needs a scalar type: string, integer, number or boolean"},
	{"an attribute with a dash", profile("{name: my-image, cel: object.kind}"), "spec.attributes[0].name", "letters, digits and '_'"},
	{"an attribute that starts with a digit", profile("{name: 1st, cel: object.kind}"), "spec.attributes[0].name", "must start with a letter"},
	{"an attribute with a long name", profile("{name: " + strings.Repeat("a", 64) + ", cel: object.kind}"), "spec.attributes[0].name", "more than 63"},
	{"attributes that differ in case", profile("{name: image, cel: a}, {name: Image, cel: b}"), "spec.attributes", "must differ in more than case"},
	{"too many attributes", profile(many(65, "{name: a%d, cel: object.kind}")), "spec.attributes", "must have at most 64 items"},
	{"an unknown field", profile("{name: a, cel: object.kind, sinkOnly: true}"), "unknown field spec.attributes[0].sinkOnly", ""},
}

var invalidTargets = []invalid{
	{"no profile", "{kind: KollectTarget, spec: {}}", "spec.profileRef", "Required"},
	{"no profile name", "{kind: KollectTarget, spec: {profileRef: {kind: KollectProfile}}}", "spec.profileRef.name", "Required"},
	{"a profile of another kind", "{kind: KollectTarget, spec: {profileRef: {kind: Profile, name: p}}}", "spec.profileRef.kind", `supported values: "KollectProfile", "KollectClusterProfile"`},
	{"a profile name with capitals", "{kind: KollectTarget, spec: {profileRef: {name: Pods}}}", "spec.profileRef.name", "must be the name of an object: lower case letters"},
	{"a service account with a namespace", target("serviceAccountName: team-a/inventory"), "spec.serviceAccountName", "must be the name of an object"},
	{"a service account on a cluster target", "{kind: KollectClusterTarget, spec: {profileRef: {name: p}, serviceAccountName: s}}", "spec.serviceAccountName", "is for KollectTarget: remove it"},
	{"a namespaced profile on a cluster target", "{kind: KollectClusterTarget, spec: {profileRef: {kind: KollectProfile, name: p}}}", "spec.profileRef.kind", "must be KollectClusterProfile"},
	{"a namespace with a dot", target("namespaces: {names: [team.a]}"), "spec.namespaces.names[0]", "must be the name of a namespace"},
	{"a namespace with a wildcard", target("namespaces: {exclude: ['kube-*']}"), "spec.namespaces.exclude[0]", "must be the name of a namespace"},
	{"a namespace twice", target("namespaces: {names: [a, a]}"), "spec.namespaces.names[1]", "Duplicate value"},
	{"an unknown operator", target("selector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}"), "spec.selector", "operator must be In or NotIn with values"},
	{"In without values", target("selector: {matchExpressions: [{key: a, operator: In}]}"), "spec.selector", "In or NotIn with values"},
	{"Exists with values", target("namespaces: {selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"), "spec.namespaces.selector", "Exists or DoesNotExist without"},
	{"an empty match", target("match: ''"), "spec.match", "at least 1 chars"},
	{"a long match", target("match: " + strings.Repeat("a", 4097)), "spec.match", "more than 4096"},
}

var invalidInventories = []invalid{
	{"dedupe on a namespaced inventory", inventory("dedupe: keepAll"), "spec.dedupe", "is for KollectClusterInventory: remove it"},
	{"namespaces on a namespaced inventory", inventory("namespaces: {}"), "spec.namespaces", "is for KollectClusterInventory: remove it"},
	{"an unknown dedupe", "{kind: KollectClusterInventory, spec: {dedupe: byName}}", "spec.dedupe", `supported values: "keepAll", "byResourceUID"`},
	{"an unknown deletion policy", inventory("deletionPolicy: Orphan"), "spec.deletionPolicy", `supported values: "Retain", "Delete"`},
	{"a negative interval", inventory("exportMinInterval: -30s"), "spec.exportMinInterval", "must be a duration of at least 1s, such as 30s"},
	{"an interval below a second", inventory("exportMinInterval: 999ms"), "spec.exportMinInterval", "must be a duration of at least 1s"},
	{"an interval without a unit", inventory("exportMinInterval: '30'"), "spec.exportMinInterval", "must be a duration of at least 1s, such as 30s"},
	{"an interval that is a number", inventory("exportMinInterval: 30"), "spec.exportMinInterval", "must be of type string"},
	{"an interval in days", inventory("exportMinInterval: 1d"), "spec.exportMinInterval", "must be a duration"},
	{"an interval that no duration can hold", inventory("exportMinInterval: 9999999h"), "spec.exportMinInterval", "must be a duration"},
	{"a negative interval of a sink", inventory("sinkRefs: [{name: s, exportMinInterval: -1s}]"), "spec.sinkRefs[0].exportMinInterval", "must be a duration of at least 1s"},
	{"a sink twice", inventory("sinkRefs: [{name: s}, {name: s}]"), "spec.sinkRefs[1]", "Duplicate value"},
	{"a sink with a namespace", inventory("sinkRefs: [{name: team-b/lake}]"), "spec.sinkRefs[0].name", "must be the name of an object"},
	{"too many sinks", inventory("sinkRefs: [" + many(17, "{name: s%d}") + "]"), "spec.sinkRefs", "must have at most 16 items"},
	{"a cluster with a slash", inventory("cluster: eu/prod"), "spec.cluster", "must start and end with a letter or digit"},
	{"a selector with an unknown operator", inventory("targetSelector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}"), "spec.targetSelector", "operator must be In or NotIn"},
	{"a long name", "{kind: KollectInventory, metadata: {name: " + strings.Repeat("a", 221) + "}}", "<nil>: Invalid value: metadata.name", "must have at most 220 characters"},
	{"a long name of a cluster inventory", "{kind: KollectClusterInventory, metadata: {name: " + strings.Repeat("a", 221) + "}}", "<nil>: Invalid value: metadata.name", "must have at most 220 characters"},
}

var invalidSinks = []invalid{
	{"no type", sink("git: {url: 'https://host/r'}"), "spec.type", "Required"},
	{"an unknown type", sink("type: s3"), "spec.type", `supported values: "git", "objectStore"`},
	{"no member", sink("type: objectStore"), "spec.objectStore", "must be set if, and only if, type is objectStore"},
	{"no http", sink("type: http"), "spec.http", "must be set if, and only if, type is http"},
	{"no git", sink("type: git"), "spec.git", "must be set if, and only if, type is git"},
	{"no nats", sink("type: nats"), "spec.nats", "must be set if, and only if, type is nats"},
	{"no kafka", sink("type: kafka"), "spec.kafka", "must be set if, and only if, type is kafka"},
	{"no postgres", sink("type: postgres, secretRef: {name: dsn}"), "spec.postgres", "must be set if, and only if, type is postgres"},
	{"two members", sink("type: nats, nats: {url: 'nats://n', stream: S}, http: {url: 'https://h'}"), "spec.http", "must be set if, and only if, type is http"},
	{"postgres without a secret", sink("type: postgres, postgres: {}"), "spec.secretRef", "its Secret holds the connection string"},
	{"a secret of another namespace", sink("type: http, http: {url: 'https://h'}, secretRef: {namespace: b, name: s}"), "spec.secretRef.namespace", "is for KollectClusterSink: remove it"},
	{"a cluster sink's secret without a namespace", "{kind: KollectClusterSink, spec: {type: http, http: {url: 'https://h'}, secretRef: {name: s}}}", "spec.secretRef.namespace", "required on a KollectClusterSink"},
	{"a secret with a key", sink("type: http, http: {url: 'https://h'}, secretRef: {name: s/token}"), "spec.secretRef.name", "must be the name of an object"},
	{"a negative write interval", bucket("url: 's3://b'}, minWriteInterval: -1s, secretRef: {name: s"), "spec.minWriteInterval", "must be a duration of at least 0s"},
	{"a malformed write interval", bucket("url: 's3://b'}, minWriteInterval: soon, secretRef: {name: s"), "spec.minWriteInterval", "such as 30s, 5m or 1h30m"},
	{"an unknown way with mass deletions", bucket("url: 's3://b'}, massDeletion: Never, secretRef: {name: s"), "spec.massDeletion", `supported values: "Confirm", "Allow"`},
	{"a bucket by https", bucket("url: 'https://b'"), "spec.objectStore.url", "must be s3://bucket, gs://bucket, azblob://container or file:///folder"},
	{"a bucket without a name", bucket("url: 's3://?region=eu'"), "spec.objectStore.url", "must be s3://bucket"},
	{"a relative folder", bucket("url: 'file://exports'"), "spec.objectStore.url", "file:///folder"},
	{"credentials in a bucket's URL", bucket("url: 's3://key:secret@b'"), "spec.objectStore.url", "put them into a Secret and name it in secretRef"},
	{"a prefix that climbs", bucket("url: 's3://b', prefix: a/../../b"), "spec.objectStore.prefix", "must be relative, with no folder . or .."},
	{"an absolute prefix", bucket("url: 's3://b', prefix: /a"), "spec.objectStore.prefix", "must be relative"},
	{"an unknown format", bucket("url: 's3://b', format: csv"), "spec.objectStore.format", `supported values: "json", "ndjson", "parquet"`},
	{"nothing kept", bucket("url: 's3://b', retention: {keep: 0}"), "spec.objectStore.retention.keep", "greater than or equal to 1"},
	{"a negative retention", bucket("url: 's3://b', retention: {daily: -1}"), "spec.objectStore.retention.daily", "greater than or equal to 0"},
	{"a repository by git://", repository("url: 'git://host/r'"), "spec.git.url", "must be an https:// or ssh:// URL"},
	{"a repository without a path", repository("url: 'https://host'"), "spec.git.url", "URL of a repository"},
	{"a token in a repository's URL", repository("url: 'https://token@host/r'"), "spec.git.url", "must not hold credentials"},
	{"a password in a repository's URL", repository("url: 'ssh://git:pw@host/r'"), "spec.git.url", "must not hold credentials"},
	{"a branch with a space", repository("url: 'https://h/r', branch: my branch"), "spec.git.branch", "must be the name of a branch"},
	{"a branch that climbs", repository("url: 'https://h/r', branch: a/../b"), "spec.git.branch", "must be the name of a branch"},
	{"a branch that is an option", repository("url: 'https://h/r', branch: --force"), "spec.git.branch", "must be the name of a branch"},
	{"an unknown placeholder", repository("url: 'https://h/r', pathTemplate: '{cluster}/{ns}'"), "spec.git.pathTemplate", "{cluster}, {namespace} and {inventory}, and no other"},
	{"a template that climbs", repository("url: 'https://h/r', pathTemplate: '../{cluster}'"), "spec.git.pathTemplate", "must be relative"},
	{"an author with a bracket", repository("url: 'https://h/r', author: {name: 'a<b', email: a@b.example}"), "spec.git.author.name", "must not have any of < >"},
	{"an author without an address", repository("url: 'https://h/r', author: {name: a, email: b}"), "spec.git.author.email", "must be an address"},
	{"a commit a second", repository("url: 'https://h/r', confirmInterval: 1s"), "spec.git.confirmInterval", "at least 1m"},
	{"an endpoint by ftp", sink("type: http, http: {url: 'ftp://h'}"), "spec.http.url", "must be an http:// or https:// URL"},
	{"a password in an endpoint", sink("type: http, http: {url: 'https://u:p@h/'}"), "spec.http.url", "must not hold credentials"},
	{"another placeholder in an endpoint", sink("type: http, http: {url: 'https://h/{ns}'}"), "spec.http.url", "may hold the placeholders"},
	{"a placeholder in an endpoint's query", sink("type: http, http: {url: 'https://h/?c={cluster}'}"), "spec.http.url", "may hold the placeholders"},
	{"a method that reads", sink("type: http, http: {url: 'https://h', method: GET}"), "spec.http.method", `supported values: "PUT", "POST"`},
	{"parquet by http", sink("type: http, http: {url: 'https://h', format: parquet}"), "spec.http.format", "must be json or ndjson"},
	{"a table with a quote", sink(`type: postgres, postgres: {table: 'a"b'}, secretRef: {name: dsn}`), "spec.postgres.table", "letters, digits and '_'"},
	{"a schema with a dot", sink("type: postgres, postgres: {schema: a.b}, secretRef: {name: dsn}"), "spec.postgres.schema", "letters, digits and '_'"},
	{"no connections", sink("type: postgres, postgres: {maxConnections: -1}, secretRef: {name: dsn}"), "spec.postgres.maxConnections", "greater than or equal to 1"},
	{"a statement timeout of nothing", sink("type: postgres, postgres: {statementTimeout: 0s}, secretRef: {name: dsn}"), "spec.postgres.statementTimeout", "must be a duration of at least 1s"},
	{"stale at once", sink("type: postgres, postgres: {staleAfter: soon}, secretRef: {name: dsn}"), "spec.postgres.staleAfter", "such as 30s, 5m or 1h30m"},
	{"nats by http", sink("type: nats, nats: {url: 'http://n', stream: S}"), "spec.nats.url", "must be a nats:// or tls:// URL"},
	{"a token in a nats URL", sink("type: nats, nats: {url: 'nats://t@n', stream: S}"), "spec.nats.url", "must not hold credentials"},
	{"a stream with a dot", sink("type: nats, nats: {url: 'nats://n', stream: a.b}"), "spec.nats.stream", "must be a stream's name"},
	{"no brokers", sink("type: kafka, kafka: {brokers: [], topic: t}"), "spec.kafka.brokers", "at least 1 items"},
	{"a broker without a port", sink("type: kafka, kafka: {brokers: [k], topic: t}"), "spec.kafka.brokers[0]", "must be host:port"},
	{"an unknown mechanism", sink("type: kafka, kafka: {brokers: ['k:9092'], topic: t, saslMechanism: GSSAPI}, secretRef: {name: s}"), "spec.kafka.saslMechanism", "SCRAM-SHA-512"},
	{"a mechanism without a secret", sink("type: kafka, kafka: {brokers: ['k:9092'], topic: t, saslMechanism: PLAIN}"), "spec.secretRef", "its Secret says who to log in as"},
	{"a topic with a slash", sink("type: kafka, kafka: {brokers: ['k:9092'], topic: a/b}"), "spec.kafka.topic", "must be a topic's name"},
}

// many repeats a YAML element n times, numbered.
func many(n int, element string) string {
	elements := make([]string, n)
	for i := range elements {
		elements[i] = fmt.Sprintf(element, i)
	}
	return strings.Join(elements, ", ")
}

func TestInvalidObjectsAreRefusedWithTheFieldAndTheMend(t *testing.T) {
	resources := newResources(t)
	for group, tests := range map[string][]invalid{
		"profile": invalidProfiles, "target": invalidTargets, "inventory": invalidInventories, "sink": invalidSinks,
	} {
		for _, test := range tests {
			t.Run(group+"/"+test.name, func(t *testing.T) {
				problems := admit(resources, parse(t, test.object))
				for _, problem := range problems {
					// The first is the one that kubectl prints, the CEL rules
					// that were not reached are no problem of their own.
					if strings.HasPrefix(problem, test.field) && strings.Contains(problem, test.mend) {
						continue
					}
					if !strings.Contains(problem, "some validation rules were not checked") {
						t.Errorf("unwanted message: %s", problem)
					}
				}
				if len(problems) == 0 {
					t.Errorf("admitted; want %s: %s", test.field, test.mend)
				}
			})
		}
	}
}

// A name is used once: listType=map reports the second.
func TestDuplicateAttributeNamesAreRefused(t *testing.T) {
	problems := admit(newResources(t), parse(t, profile("{name: image, cel: a}, {name: image, cel: b}")))
	text := strings.Join(problems, "\n")
	for _, want := range []string{"spec.attributes[1]: Duplicate value", "spec.attributes: Invalid value", "must differ in more than case"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestReservedGenerationNeverFalls(t *testing.T) {
	strategy := newResources(t)["KollectInventory"].strategy
	tests := []struct {
		name, before, after string
		want                string
	}{
		{"first reservation", "{}", "{reservedGeneration: 64}", ""},
		{"next reservation", "{reservedGeneration: 64}", "{reservedGeneration: 128}", ""},
		{"same reservation", "{reservedGeneration: 64}", "{reservedGeneration: 64, rows: 3}", ""},
		{"lower reservation", "{reservedGeneration: 64}", "{reservedGeneration: 63}", "status.reservedGeneration: Invalid value: never falls"},
		{"no reservation", "{reservedGeneration: 64}", "{}", "status.reservedGeneration: Invalid value"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := parse(t, "{kind: KollectInventory, spec: {}, status: "+test.before+"}")
			after := parse(t, "{kind: KollectInventory, spec: {}, status: "+test.after+"}")
			before.SetResourceVersion("1")
			after.SetResourceVersion("1")
			got := strings.Join(messages(strategy.ValidateUpdate(context.Background(), after, before)), "\n")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
