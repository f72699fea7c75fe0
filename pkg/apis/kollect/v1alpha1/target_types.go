package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProfileReference names a profile.
type ProfileReference struct {
	// Kind is KollectProfile or KollectClusterProfile. Default: KollectProfile
	// for a namespaced target, KollectClusterProfile for a cluster target,
	// which can use no other.
	// +optional
	// +kubebuilder:validation:Enum=KollectProfile;KollectClusterProfile
	Kind string `json:"kind,omitempty"`
	// Name is the profile's name; a KollectProfile is looked up in the target's
	// namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an object: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// NamespaceSelection selects namespaces: the union of names and selector, less
// exclude. With neither names nor selector it starts from the default.
type NamespaceSelection struct {
	// Names are namespaces by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace: lower case letters, digits and '-', at most 63"
	Names []string `json:"names,omitempty"`
	// Selector selects namespaces by their labels; {} selects all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="matchExpressions: operator must be In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Exclude are namespaces that are never selected.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be the name of a namespace: lower case letters, digits and '-', at most 63"
	Exclude []string `json:"exclude,omitempty"`
}

// TargetSpec says which objects of a profile's resource to collect.
type TargetSpec struct {
	// ProfileRef names the profile that says which resource and attributes.
	ProfileRef ProfileReference `json:"profileRef"`
	// ServiceAccountName, on a namespaced target, is the service account of the
	// target's namespace whose rights bound the collection. Default: default.
	// A cluster target has none.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of an object: lower case letters, digits, '-' and '.'"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Selector selects objects by their labels; default: all.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="matchExpressions: operator must be In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// Names selects objects by name; default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=253
	Names []string `json:"names,omitempty"`
	// Match is a CEL expression over `object` that returns whether to collect
	// it; default: true.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Match string `json:"match,omitempty"`
	// Namespaces selects namespaces. Default: the target's own for a namespaced
	// target, all for a cluster target.
	// +optional
	Namespaces *NamespaceSelection `json:"namespaces,omitempty"`
	// Suspend stops collecting; the last rows are kept and marked stale.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// TargetStatus is what the server found out about a target.
type TargetStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Resource is the resolved resource, as group/version/plural.
	// +optional
	Resource string `json:"resource,omitempty"`
	// Rows is how many objects are collected.
	// +optional
	Rows int64 `json:"rows,omitempty"`
	// Conditions: Ready, Synced, Stale, Extracted.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KollectTarget collects objects with the rights of a service account of its
// namespace.
// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=ktgt,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Profile",type=string,JSONPath=`.spec.profileRef.name`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.status.resource`
// +kubebuilder:printcolumn:name="Rows",type=integer,JSONPath=`.status.rows`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which objects to collect.
	Spec TargetSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status TargetStatus `json:"status,omitempty"`
}

// KollectTargetList is a list of targets.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectTargetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectTarget `json:"items"`
}

// KollectClusterTarget collects objects over all namespaces with the server's
// own rights.
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=kctgt,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="!has(self.spec.serviceAccountName)",message="serviceAccountName is for KollectTarget: remove it, a cluster target collects with the server's rights",fieldPath=".spec.serviceAccountName"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.profileRef.kind) || self.spec.profileRef.kind == 'KollectClusterProfile'",message="must be KollectClusterProfile: a cluster target can use no other",fieldPath=".spec.profileRef.kind"
// +kubebuilder:printcolumn:name="Profile",type=string,JSONPath=`.spec.profileRef.name`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.status.resource`
// +kubebuilder:printcolumn:name="Rows",type=integer,JSONPath=`.status.rows`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectClusterTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which objects to collect.
	Spec TargetSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status TargetStatus `json:"status,omitempty"`
}

// KollectClusterTargetList is a list of cluster targets.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectClusterTargetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectClusterTarget `json:"items"`
}
