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
	Namespace string `json:"namespace,omitempty"`
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
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
	// +kubebuilder:validation:Pattern=`^(s3|gs|azblob|file)://`
	URL string `json:"url"`
	// Prefix is put before every key.
	// +optional
	// +kubebuilder:validation:MaxLength=512
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
	// +kubebuilder:validation:Pattern=`^(https|ssh)://`
	URL string `json:"url"`
	// Branch to push to.
	// +optional
	// +kubebuilder:default=main
	// +kubebuilder:validation:MaxLength=255
	Branch string `json:"branch,omitempty"`
	// PathTemplate is the folder of an inventory in the repository.
	// +optional
	// +kubebuilder:default="{cluster}/{namespace}/{inventory}"
	// +kubebuilder:validation:MaxLength=512
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
}

// HTTPSink sends the whole snapshot to an endpoint.
type HTTPSink struct {
	// URL of the endpoint.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https?://`
	URL string `json:"url"`
	// Method of the request.
	// +optional
	// +kubebuilder:default=PUT
	// +kubebuilder:validation:Enum=PUT;POST
	Method string `json:"method,omitempty"`
	// Format of the body.
	// +optional
	// +kubebuilder:default=ndjson
	// +kubebuilder:validation:Enum=json;ndjson
	Format Format `json:"format,omitempty"`
}

// PostgresSink keeps the current rows in a table.
type PostgresSink struct {
	// Schema of the table.
	// +optional
	// +kubebuilder:default=public
	// +kubebuilder:validation:MaxLength=63
	Schema string `json:"schema,omitempty"`
	// Table for the rows.
	// +optional
	// +kubebuilder:default=kollect_rows
	// +kubebuilder:validation:MaxLength=63
	Table string `json:"table,omitempty"`
	// Deletion is hard, or soft to set deleted_at.
	// +optional
	// +kubebuilder:default=hard
	// +kubebuilder:validation:Enum=hard;soft
	Deletion string `json:"deletion,omitempty"`
}

// NATSSink publishes changes to a JetStream stream.
type NATSSink struct {
	// URL of the server: nats:// or tls://.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(nats|tls)://`
	URL string `json:"url"`
	// Stream that holds the subjects.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Stream string `json:"stream"`
}

// KafkaSink publishes changes to a compacted topic.
type KafkaSink struct {
	// Brokers to start from, as host:port.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +kubebuilder:validation:items:MaxLength=262
	Brokers []string `json:"brokers"`
	// Topic for the rows.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	Topic string `json:"topic"`
}

// SinkSpec describes one destination: the member that Type names is set.
// +kubebuilder:validation:XValidation:rule="self.type == 'git' ? has(self.git) : !has(self.git)",message="git must be set if, and only if, type is git"
// +kubebuilder:validation:XValidation:rule="self.type == 'objectStore' ? has(self.objectStore) : !has(self.objectStore)",message="objectStore must be set if, and only if, type is objectStore"
// +kubebuilder:validation:XValidation:rule="self.type == 'http' ? has(self.http) : !has(self.http)",message="http must be set if, and only if, type is http"
// +kubebuilder:validation:XValidation:rule="self.type == 'postgres' ? has(self.postgres) : !has(self.postgres)",message="postgres must be set if, and only if, type is postgres"
// +kubebuilder:validation:XValidation:rule="self.type == 'nats' ? has(self.nats) : !has(self.nats)",message="nats must be set if, and only if, type is nats"
// +kubebuilder:validation:XValidation:rule="self.type == 'kafka' ? has(self.kafka) : !has(self.kafka)",message="kafka must be set if, and only if, type is kafka"
type SinkSpec struct {
	// Type names the member that is set.
	Type SinkType `json:"type"`
	// +optional
	Git *GitSink `json:"git,omitempty"`
	// +optional
	ObjectStore *ObjectStoreSink `json:"objectStore,omitempty"`
	// +optional
	HTTP *HTTPSink `json:"http,omitempty"`
	// +optional
	Postgres *PostgresSink `json:"postgres,omitempty"`
	// +optional
	NATS *NATSSink `json:"nats,omitempty"`
	// +optional
	Kafka *KafkaSink `json:"kafka,omitempty"`
	// MinWriteInterval is the least time between two writes of changed content;
	// changes in between are merged, never dropped. Default: 30s for git and
	// objectStore, 0 for the others.
	// +optional
	MinWriteInterval *metav1.Duration `json:"minWriteInterval,omitempty"`
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
// +kubebuilder:validation:XValidation:rule="!has(self.spec.secretRef) || !has(self.spec.secretRef.__namespace__)",message="secretRef.namespace is for KollectClusterSink; a KollectSink reads Secrets of its own namespace"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectSink struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SinkSpec `json:"spec"`
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
// +kubebuilder:validation:XValidation:rule="!has(self.spec.secretRef) || has(self.spec.secretRef.__namespace__)",message="secretRef.namespace is required on a KollectClusterSink"
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectClusterSink struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec SinkSpec `json:"spec"`
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
