package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DedupePolicy says when rows of several targets collapse into one.
// +kubebuilder:validation:Enum=keepAll;byResourceUID
type DedupePolicy string

// The dedupe policies of ADR-0305.
const (
	// DedupeKeepAll keeps a row for each target that selects an object.
	DedupeKeepAll DedupePolicy = "keepAll"
	// DedupeByResourceUID keeps one row for each object: that of the target
	// which is last in row order.
	DedupeByResourceUID DedupePolicy = "byResourceUID"
)

// DeletionPolicy says what becomes of exported data when its inventory goes.
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionRetain leaves at the sinks what is there.
	DeletionRetain DeletionPolicy = "Retain"
	// DeletionDelete removes it before the inventory goes.
	DeletionDelete DeletionPolicy = "Delete"
)

// FinalizerForget is on inventories whose deletionPolicy is Delete, until nothing
// of them is left at their sinks.
const FinalizerForget = "kollect.io/forget"

// SinkReference names a sink to which an inventory is exported.
type SinkReference struct {
	// Name of a KollectSink in the inventory's namespace, or of a
	// KollectClusterSink for a cluster inventory.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an object: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
	// ExportMinInterval overrides the inventory's for this sink.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, such as 30s, 5m or 1h30m"
	ExportMinInterval *metav1.Duration `json:"exportMinInterval,omitempty"`
}

// InventorySpec says which targets' rows make up a snapshot, and where it goes.
type InventorySpec struct {
	// TargetSelector selects targets by their labels; default: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="matchExpressions: operator must be In or NotIn with values, or Exists or DoesNotExist without"
	TargetSelector *metav1.LabelSelector `json:"targetSelector,omitempty"`
	// Namespaces, on a cluster inventory, selects the namespaces whose
	// KollectTargets are included; default: all. Cluster targets are always
	// candidates.
	// +optional
	Namespaces *NamespaceSelection `json:"namespaces,omitempty"`
	// Cluster is the name of this cluster in rows and exports; default: the
	// server's --cluster-name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$')",message="must start and end with a letter or digit, with only letters, digits, '-', '_' and '.' between"
	Cluster string `json:"cluster,omitempty"`
	// Dedupe, on a cluster inventory, says when rows collapse; default keepAll.
	// +optional
	Dedupe DedupePolicy `json:"dedupe,omitempty"`
	// ExportMinInterval is how often unchanged content is marked as fresh at the
	// sinks. Changed content never waits for it.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+([.][0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, such as 30s, 5m or 1h30m"
	ExportMinInterval *metav1.Duration `json:"exportMinInterval,omitempty"`
	// SinkRefs are the sinks to export to.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	SinkRefs []SinkReference `json:"sinkRefs,omitempty"`
	// DeletionPolicy says what becomes of exported data when this object is
	// deleted. Retain leaves it. Delete removes it at every sink in sinkRefs that
	// still exists, and keeps the object until that is done; set Retain to let it
	// go without.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// SinkStatus is the state of an inventory at one sink.
type SinkStatus struct {
	// Name of the sink.
	Name string `json:"name"`
	// Generation that the sink holds.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// ContentHash of what the sink holds.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// Rows that the sink holds.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// LastSuccessTime is when the sink last confirmed the content.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// LastError is why the newest attempt failed; empty after a success.
	// +optional
	LastError string `json:"lastError,omitempty"`
	// RetryTime is when the next attempt is due.
	// +optional
	RetryTime *metav1.Time `json:"retryTime,omitempty"`
}

// InventoryStatus is what the server found out about an inventory.
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.reservedGeneration) || has(self.reservedGeneration) && self.reservedGeneration >= oldSelf.reservedGeneration",message="never falls, since it fences what is exported",fieldPath=".reservedGeneration"
type InventoryStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ReservedGeneration is the highest export generation that may be in use.
	// It only rises. It is written before a generation below it is used.
	// +optional
	ReservedGeneration int64 `json:"reservedGeneration,omitempty"`
	// Generation is the export generation of the last content that was handed
	// to the exporter.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// ContentHash of the content of Generation.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// Rows of the snapshot.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// Sinks is the state of each sink.
	// +optional
	// +listType=map
	// +listMapKey=name
	Sinks []SinkStatus `json:"sinks,omitempty"`
	// Conditions: Ready, Synced, Stale, Exported.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KollectInventory keeps one snapshot of the rows of targets in its namespace.
// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=kinv,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 220",message="metadata.name must have at most 220 characters, since row names start with it"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.dedupe)",message="dedupe is for KollectClusterInventory: remove it",fieldPath=".spec.dedupe"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.namespaces)",message="namespaces is for KollectClusterInventory: remove it",fieldPath=".spec.namespaces"
// +kubebuilder:printcolumn:name="Rows",type=integer,JSONPath=`.status.rows`
// +kubebuilder:printcolumn:name="Generation",type=integer,JSONPath=`.status.generation`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`
// +kubebuilder:printcolumn:name="Exported",type=string,JSONPath=`.status.conditions[?(@.type=="Exported")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectInventory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which rows to keep, and where to export them.
	// +optional
	// +kubebuilder:default={}
	Spec InventorySpec `json:"spec,omitempty"`
	// Status is what the server found out.
	// +optional
	Status InventoryStatus `json:"status,omitempty"`
}

// KollectInventoryList is a list of inventories.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectInventoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectInventory `json:"items"`
}

// KollectClusterInventory keeps one snapshot of the rows of targets of the
// whole cluster.
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=kcinv,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 220",message="metadata.name must have at most 220 characters, since row names start with it"
// +kubebuilder:printcolumn:name="Rows",type=integer,JSONPath=`.status.rows`
// +kubebuilder:printcolumn:name="Generation",type=integer,JSONPath=`.status.generation`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`
// +kubebuilder:printcolumn:name="Exported",type=string,JSONPath=`.status.conditions[?(@.type=="Exported")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectClusterInventory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which rows to keep, and where to export them.
	// +optional
	// +kubebuilder:default={}
	Spec InventorySpec `json:"spec,omitempty"`
	// Status is what the server found out.
	// +optional
	Status InventoryStatus `json:"status,omitempty"`
}

// KollectClusterInventoryList is a list of cluster inventories.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectClusterInventoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectClusterInventory `json:"items"`
}
