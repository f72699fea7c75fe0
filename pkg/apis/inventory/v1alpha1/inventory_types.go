package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KindCount is how many rows an inventory has of one kind.
type KindCount struct {
	// Group is the API group; empty for the core group.
	Group string `json:"group"`
	// Kind is the kind of the source objects.
	Kind string `json:"kind"`
	// Rows is how many rows there are.
	Rows int64 `json:"rows"`
}

// TargetState is what an inventory knows of one of its targets.
type TargetState struct {
	// Namespace of the target; empty for a cluster target.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the target.
	Name string `json:"name"`
	// Rows that the target collects.
	Rows int64 `json:"rows"`
	// Synced says that the target's first list is complete.
	Synced bool `json:"synced"`
	// Stale says that the source can't be watched now; the rows are the last
	// that were seen.
	Stale bool `json:"stale"`
	// Message says why a target is stale or not synced, and what would mend it.
	// +optional
	Message string `json:"message,omitempty"`
	// ResourceVersion is the newest version of the source that is reflected.
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// SinkState is the state of an inventory at one sink.
type SinkState struct {
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

// InventoryStatus is the head of a snapshot: all but its rows.
type InventoryStatus struct {
	// Cluster is the name of the cluster in rows and exports.
	Cluster string `json:"cluster"`
	// ContentHash is the SHA-256 digest of the snapshot's contents, the same on
	// every replica and in every export.
	ContentHash string `json:"contentHash"`
	// SpecGeneration is the metadata.generation of the KollectInventory.
	// +optional
	SpecGeneration int64 `json:"specGeneration,omitempty"`
	// Generation is the export generation of the last content that was handed
	// to the exporter.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Rows is how many rows the snapshot has.
	Rows int64 `json:"rows"`
	// Kinds counts the rows by kind.
	// +optional
	// +listType=atomic
	Kinds []KindCount `json:"kinds,omitempty"`
	// ObservedTime is when the newest event arrived that the snapshot reflects.
	// +optional
	ObservedTime *metav1.Time `json:"observedTime,omitempty"`
	// Targets is the state of each target.
	// +optional
	// +listType=atomic
	Targets []TargetState `json:"targets,omitempty"`
	// Sinks is the state of each sink.
	// +optional
	// +listType=map
	// +listMapKey=name
	Sinks []SinkState `json:"sinks,omitempty"`
	// Conditions: Ready, Synced, Stale, Exported.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Inventory is the head of the snapshot that a KollectInventory of the same
// name keeps. Its rows are InventoryRows.
// +genclient
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type Inventory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is the head.
	// +optional
	Status InventoryStatus `json:"status,omitempty"`
}

// InventoryList is a list of inventories.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type InventoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the inventories, in the order of namespace and name.
	Items []Inventory `json:"items"`
}

// ClusterInventory is the head of the snapshot that a KollectClusterInventory
// of the same name keeps. Its rows are ClusterInventoryRows.
// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type ClusterInventory struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is the head.
	// +optional
	Status InventoryStatus `json:"status,omitempty"`
}

// ClusterInventoryList is a list of cluster inventories.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type ClusterInventoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the inventories, in the order of name.
	Items []ClusterInventory `json:"items"`
}
