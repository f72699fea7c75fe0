package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SinkType names a kind of destination.
// +kubebuilder:validation:Enum=git;objectStore;http;postgres;nats;kafka
type SinkType string

// The sink types.
const (
	SinkGit         SinkType = "git"
	SinkObjectStore SinkType = "objectStore"
	SinkHTTP        SinkType = "http"
	SinkPostgres    SinkType = "postgres"
	SinkNATS        SinkType = "nats"
	SinkKafka       SinkType = "kafka"
)

// SecretReference names the Secret with a sink's credentials.
type SecretReference struct {
	// Namespace, on a cluster sink, is the Secret's namespace. A namespaced
	// sink reads Secrets of its own namespace alone.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace: lower case letters, digits and '-', at most 63"
	Namespace string `json:"namespace,omitempty"`
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an object: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// Format is the encoding of an exported snapshot.
// +kubebuilder:validation:Enum=json;ndjson;parquet
type Format string

// The formats of snapshot stores.
const (
	FormatJSON    Format = "json"
	FormatNDJSON  Format = "ndjson"
	FormatParquet Format = "parquet"
)

// Retention says which old generations to keep.
type Retention struct {
	// Keep is how many of the newest generations to keep.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Keep int32 `json:"keep,omitempty"`
	// Hourly is for how many hours to keep the last generation of each hour.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8784
	Hourly int32 `json:"hourly,omitempty"`
	// Daily is for how many days to keep the last generation of each day.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3660
	Daily int32 `json:"daily,omitempty"`
}

// ObjectStoreSink writes each generation as an object to a bucket.
type ObjectStoreSink struct {
	// URL of the bucket: s3://bucket?region=eu-central-1, gs://bucket,
	// azblob://container or file:///folder. A file URL is resolved below the
	// folder that the server's --sink-file-root names.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^((s3|gs|azblob)://[^/?#]+|file:///)') && isURL(self)",message="must be s3://bucket, gs://bucket, azblob://container or file:///folder"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z0-9]+://[^/?#]*@')",message="must not hold credentials: put them into a Secret and name it in secretRef"
	URL string `json:"url"`
	// Prefix is put before every key.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(f, f == '.' || f == '..')",message="must be relative, with no folder . or .."
	Prefix string `json:"prefix,omitempty"`
	// Format of the objects.
	// +optional
	// +kubebuilder:default=parquet
	Format Format `json:"format,omitempty"`
	// Retention of old generations.
	// +optional
	Retention *Retention `json:"retention,omitempty"`
}

// GitSink commits snapshots to a branch.
type GitSink struct {
	// URL of the repository: https:// or ssh://.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https|ssh)://[^/?#]+/') && isURL(self)",message="must be an https:// or ssh:// URL of a repository"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^(https://[^/?#]*|ssh://[^/?#]*:[^/?#]*)@')",message="must not hold credentials: put them into a Secret and name it in secretRef"
	URL string `json:"url"`
	// Branch to push to.
	// +optional
	// +kubebuilder:default=main
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9_][a-zA-Z0-9._/+-]*$') && !self.matches('[.][.]|//|/[.]|(/|[.]|[.]lock)$')",message="must be the name of a branch, such as main or inventory/prod"
	Branch string `json:"branch,omitempty"`
	// PathTemplate is the folder of an inventory in the repository.
	// +optional
	// +kubebuilder:default="{cluster}/{namespace}/{inventory}"
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(f, f == '.' || f == '..')",message="must be relative, with no folder . or .."
	// +kubebuilder:validation:XValidation:rule="!self.replace('{cluster}', '').replace('{namespace}', '').replace('{inventory}', '').matches('[{}]')",message="may hold the placeholders {cluster}, {namespace} and {inventory}, and no other"
	PathTemplate string `json:"pathTemplate,omitempty"`
	// Layout is document, one file an inventory, or perResource, one file a row.
	// +optional
	// +kubebuilder:default=document
	// +kubebuilder:validation:Enum=document;perResource
	Layout string `json:"layout,omitempty"`
	// Format of the files.
	// +optional
	// +kubebuilder:default=yaml
	// +kubebuilder:validation:Enum=yaml;json
	Format string `json:"format,omitempty"`
	// Author of the commits. Default: Kollect.
	// +optional
	Author *GitAuthor `json:"author,omitempty"`
	// ConfirmInterval is how often a commit says that content which did not change
	// is still current. Default: never, unchanged content makes no commits.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && (duration(self) == duration('0s') || duration(self) >= duration('1m'))",message="must be 0, or a duration of at least 1m, such as 1h"
	ConfirmInterval *metav1.Duration `json:"confirmInterval,omitempty"`
}

// GitAuthor is who commits.
type GitAuthor struct {
	// Name of the author.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.matches('[<>\\n\\r]')",message="must not have any of < >, and be one line"
	Name string `json:"name"`
	// Email of the author. Some servers take commits of known addresses alone.
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^<> ]+@[^<> ]+$')",message="must be an address, such as kollect@example.com"
	Email string `json:"email"`
}

// HTTPSink sends the whole snapshot to an endpoint.
type HTTPSink struct {
	// URL of the endpoint. Its path may hold {cluster}, {namespace}, which is _cluster
	// of a cluster inventory, and {inventory}.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#]+') && isURL(self)",message="must be an http:// or https:// URL"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z0-9]+://[^/?#]*@')",message="must not hold credentials: put them into a Secret and name it in secretRef"
	// +kubebuilder:validation:XValidation:rule="!self.split('?')[0].replace('{cluster}', '').replace('{namespace}', '').replace('{inventory}', '').matches('[{}]') && !self.matches('[?#].*[{}]')",message="may hold the placeholders {cluster}, {namespace} and {inventory} in its path, and no others"
	URL string `json:"url"`
	// Method of the request that sends a snapshot.
	// +optional
	// +kubebuilder:default=PUT
	// +kubebuilder:validation:Enum=PUT;POST
	Method string `json:"method,omitempty"`
	// Format of the body, which is compressed by gzip.
	// +optional
	// +kubebuilder:default=ndjson
	// +kubebuilder:validation:XValidation:rule="self in ['json', 'ndjson']",message="must be json or ndjson"
	Format Format `json:"format,omitempty"`
}

// PostgresSink keeps the current rows in a table.
type PostgresSink struct {
	// Schema of the table.
	// +optional
	// +kubebuilder:default=public
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",message="must start with a letter or '_' and go on with letters, digits and '_'"
	Schema string `json:"schema,omitempty"`
	// Table for the rows.
	// +optional
	// +kubebuilder:default=kollect_rows
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",message="must start with a letter or '_' and go on with letters, digits and '_'"
	Table string `json:"table,omitempty"`
	// Deletion is hard, or soft to set deleted_at.
	// +optional
	// +kubebuilder:default=hard
	// +kubebuilder:validation:Enum=hard;soft
	Deletion string `json:"deletion,omitempty"`
	// MaxConnections bounds the connections to the database, and so how many
	// inventories are exported at once. Default: 4.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// StatementTimeout bounds each statement. Another session's locks are waited
	// for as long, and for 30s at most. Default: 5m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, such as 30s, 5m or 1h30m"
	StatementTimeout *metav1.Duration `json:"statementTimeout,omitempty"`
	// StaleAfter is when an inventory that nobody has confirmed shows in the view
	// inventory_stale: give it some multiple of the inventories' exportMinInterval.
	// Default: 5m, ten times the default of that.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, such as 30s, 5m or 1h30m"
	StaleAfter *metav1.Duration `json:"staleAfter,omitempty"`
}

// NATSSink publishes changes to a JetStream stream.
type NATSSink struct {
	// URL of the server: nats:// or tls://.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(nats|tls)://[^/?#]+') && isURL(self)",message="must be a nats:// or tls:// URL, such as nats://nats.messaging:4222"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z0-9]+://[^/?#]*@')",message="must not hold credentials: put them into a Secret and name it in secretRef"
	URL string `json:"url"`
	// Stream that holds the subjects.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9_-]+$')",message="must be a stream's name: letters, digits, '-' and '_'"
	Stream string `json:"stream"`
	// OversizedRows says what becomes of a row that is too large for a message.
	// Reject leaves it out, as though it were gone, and says so in the inventory's
	// conditions. Reference publishes it without labels and attributes, and with
	// where the API server has them.
	// +kubebuilder:default=Reject
	// +optional
	OversizedRows OversizedRows `json:"oversizedRows,omitempty"`
}

// OversizedRows says what becomes of a row that is too large for a message.
// +kubebuilder:validation:Enum=Reject;Reference
type OversizedRows string

// What can become of rows that are too large for a message.
const (
	OversizedReject    OversizedRows = "Reject"
	OversizedReference OversizedRows = "Reference"
)

// KafkaSink publishes changes to a compacted topic.
type KafkaSink struct {
	// Brokers to start from, as host:port.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=262
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-zA-Z0-9.-]+|[[][0-9a-fA-F:.]+[]]):[0-9]{1,5}$')",message="must be host:port, such as kafka-0.kafka:9092"
	Brokers []string `json:"brokers"`
	// Topic for the rows.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$') && self != '.' && self != '..'",message="must be a topic's name: letters, digits, '.', '_' and '-'"
	Topic string `json:"topic"`
	// OversizedRows says what becomes of a row that is too large for a message.
	// Reject leaves it out, as though it were gone, and says so in the inventory's
	// conditions. Reference publishes it without labels and attributes, and with
	// where the API server has them.
	// +kubebuilder:default=Reject
	// +optional
	OversizedRows OversizedRows `json:"oversizedRows,omitempty"`
	// SchemaRegistry, if set, has the JSON Schema of the records' values, each of
	// which begins with its ID, as clients of such registries expect.
	// +optional
	SchemaRegistry *SchemaRegistry `json:"schemaRegistry,omitempty"`
	// TLS says that connections are encrypted. They are without it too if the
	// Secret has ca.crt or tls.crt.
	// +optional
	TLS bool `json:"tls,omitempty"`
	// SASLMechanism says how to log in with the username and password of the
	// Secret or, for OAUTHBEARER, with its token.
	// +optional
	// +kubebuilder:validation:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512;OAUTHBEARER
	SASLMechanism string `json:"saslMechanism,omitempty"`
}

// SchemaRegistry is a registry of schemas with the API of Confluent's. Its
// credentials are registry-username and registry-password, or registry-token, of
// the sink's Secret.
type SchemaRegistry struct {
	// URL where its API begins.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#]+') && isURL(self)",message="must be an http:// or https:// URL"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z0-9]+://[^/?#]*@')",message="must not hold credentials: put them into a Secret and name it in secretRef"
	URL string `json:"url"`
}

// MassDeletion says what becomes of an export that would remove most rows.
// +kubebuilder:validation:Enum=Confirm;Allow
type MassDeletion string

// What can become of exports that would remove most rows.
const (
	MassDeletionConfirm MassDeletion = "Confirm"
	MassDeletionAllow   MassDeletion = "Allow"
)

// SinkSpec describes one destination: the member that Type names is set.
// +kubebuilder:validation:XValidation:rule="(self.type == 'git') == has(self.git)",message="must be set if, and only if, type is git",fieldPath=".git"
// +kubebuilder:validation:XValidation:rule="(self.type == 'objectStore') == has(self.objectStore)",message="must be set if, and only if, type is objectStore",fieldPath=".objectStore"
// +kubebuilder:validation:XValidation:rule="(self.type == 'http') == has(self.http)",message="must be set if, and only if, type is http",fieldPath=".http"
// +kubebuilder:validation:XValidation:rule="(self.type == 'postgres') == has(self.postgres)",message="must be set if, and only if, type is postgres",fieldPath=".postgres"
// +kubebuilder:validation:XValidation:rule="(self.type == 'nats') == has(self.nats)",message="must be set if, and only if, type is nats",fieldPath=".nats"
// +kubebuilder:validation:XValidation:rule="(self.type == 'kafka') == has(self.kafka)",message="must be set if, and only if, type is kafka",fieldPath=".kafka"
// +kubebuilder:validation:XValidation:rule="self.type != 'postgres' || has(self.secretRef)",message="secretRef is required for type postgres: its Secret holds the connection string",fieldPath=".secretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.kafka) || !has(self.kafka.saslMechanism) || has(self.secretRef)",message="secretRef is required with kafka.saslMechanism: its Secret says who to log in as",fieldPath=".secretRef"
type SinkSpec struct {
	// Type names the member that is set.
	Type SinkType `json:"type"`
	// Git commits each snapshot to a repository; for type git.
	// +optional
	Git *GitSink `json:"git,omitempty"`
	// ObjectStore writes each snapshot to a bucket; for type objectStore.
	// +optional
	ObjectStore *ObjectStoreSink `json:"objectStore,omitempty"`
	// HTTP sends each snapshot to an endpoint; for type http.
	// +optional
	HTTP *HTTPSink `json:"http,omitempty"`
	// Postgres keeps the rows in a table; for type postgres. The Secret that
	// secretRef names holds the connection string.
	// +optional
	Postgres *PostgresSink `json:"postgres,omitempty"`
	// NATS publishes changes to a JetStream stream; for type nats.
	// +optional
	NATS *NATSSink `json:"nats,omitempty"`
	// Kafka publishes changes to a compacted topic; for type kafka.
	// +optional
	Kafka *KafkaSink `json:"kafka,omitempty"`
	// MinWriteInterval is the least time between two writes of changed content;
	// changes in between are merged, never dropped. Default: 30s for git and
	// objectStore, 0 for the others.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && duration(self) >= duration('0s')",message="must be a duration of at least 0s, such as 30s, 5m or 1h30m"
	MinWriteInterval *metav1.Duration `json:"minWriteInterval,omitempty"`
	// MassDeletion says what becomes of an export that would leave less than half of
	// what the destination holds of an inventory, if that is more than 100 rows.
	// Confirm holds it back, and says so in the inventory's conditions, until a
	// complete snapshot still says the same 5 to 30 seconds later. Allow exports it
	// at once.
	// +kubebuilder:default=Confirm
	// +optional
	MassDeletion MassDeletion `json:"massDeletion,omitempty"`
	// SecretRef names the Secret with the credentials.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
}

// SinkDestinationStatus is what the server found out about a sink.
type SinkDestinationStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KollectSink is a destination for the inventories of its namespace.
// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=ksink,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="!has(self.spec.secretRef) || !has(self.spec.secretRef.__namespace__)",message="namespace is for KollectClusterSink: remove it, a KollectSink reads Secrets of its own namespace",fieldPath=".spec.secretRef.namespace"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectSink struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where and how to write.
	Spec SinkSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status SinkDestinationStatus `json:"status,omitempty"`
}

// KollectSinkList is a list of sinks.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectSinkList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectSink `json:"items"`
}

// KollectClusterSink is a destination for cluster inventories.
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=kcsink,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="!has(self.spec.secretRef) || has(self.spec.secretRef.__namespace__)",message="namespace of the Secret is required on a KollectClusterSink",fieldPath=".spec.secretRef.namespace"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectClusterSink struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where and how to write.
	Spec SinkSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status SinkDestinationStatus `json:"status,omitempty"`
}

// KollectClusterSinkList is a list of cluster sinks.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectClusterSinkList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectClusterSink `json:"items"`
}
