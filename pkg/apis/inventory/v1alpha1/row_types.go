package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TargetReference names the target that collected a row.
type TargetReference struct {
	// Namespace of the target; empty for a cluster target.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the target.
	Name string `json:"name"`
}

// Source is the object from which a row was extracted.
type Source struct {
	// Group is the API group; empty for the core group.
	Group string `json:"group"`
	// Version is the API version in which the object was read.
	Version string `json:"version"`
	// Resource is the plural name, such as deployments.
	Resource string `json:"resource"`
	// Kind is the kind, such as Deployment.
	Kind string `json:"kind"`
	// Namespace of the object; empty for cluster-scoped resources.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name"`
	// UID of the object.
	UID string `json:"uid"`
	// CreationTimestamp of the object.
	// +optional
	CreationTimestamp *metav1.Time `json:"creationTimestamp,omitempty"`
}

// RowContent is what rows have in common, whoever reads them.
type RowContent struct {
	// Inventory is the name of the inventory that the row belongs to.
	Inventory string `json:"inventory"`
	// Cluster is the name of the cluster.
	Cluster string `json:"cluster"`
	// Target collected the row.
	Target TargetReference `json:"target"`
	// Source is the object from which the row was extracted.
	Source Source `json:"source"`
	// Attributes are the extracted values by name. An attribute that the object
	// does not have is absent.
	// +optional
	Attributes map[string]Value `json:"attributes,omitempty"`
}

// InventoryRow is one row of an inventory. Its labels are the source's.
// +genclient
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type InventoryRow struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	RowContent        `json:",inline"`
}

// InventoryRowList is a list of rows.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type InventoryRowList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the rows, in the order of namespace and name.
	Items []InventoryRow `json:"items"`
}

// ClusterInventoryRow is one row of a cluster inventory. Its labels are the
// source's.
// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type ClusterInventoryRow struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	RowContent        `json:",inline"`
}

// ClusterInventoryRowList is a list of cluster rows.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type ClusterInventoryRowList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the rows, in the order of name.
	Items []ClusterInventoryRow `json:"items"`
}

// AccessibleRow is a row of any inventory whose source object the caller may
// list. It is in the source's namespace, and its labels are the source's.
// +genclient
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type AccessibleRow struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// InventoryNamespace is the namespace of the inventory that the row belongs
	// to; empty for a cluster inventory.
	// +optional
	InventoryNamespace string `json:"inventoryNamespace,omitempty"`
	RowContent         `json:",inline"`
}

// AccessibleRowList is a list of the rows that the caller may see.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type AccessibleRowList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the rows, in the order of namespace and name.
	Items []AccessibleRow `json:"items"`
}
