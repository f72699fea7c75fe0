package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AttributeType is the type of an extracted attribute.
// +kubebuilder:validation:Enum=string;integer;number;boolean;json
type AttributeType string

// The attribute types. Quantities, timestamps and durations are strings.
const (
	AttributeString  AttributeType = "string"
	AttributeInteger AttributeType = "integer"
	AttributeNumber  AttributeType = "number"
	AttributeBoolean AttributeType = "boolean"
	AttributeJSON    AttributeType = "json"
)

// SecretValues says whether the values of Secrets may become rows.
// +kubebuilder:validation:Enum=Refuse;Allow
type SecretValues string

// Whether the values of Secrets may become rows.
const (
	SecretValuesRefuse SecretValues = "Refuse"
	SecretValuesAllow  SecretValues = "Allow"
)

// ResourceReference names a kind of resource.
type ResourceReference struct {
	// Group is the API group; empty for the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1123Subdomain().validate(self).hasValue()",message="must be an API group, such as apps, or empty for the core group"
	Group string `json:"group,omitempty"`
	// Version is the API version; default: the one that the API server prefers.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.dns1035Label().validate(self).hasValue()",message="must be an API version, such as v1"
	Version string `json:"version,omitempty"`
	// Kind is the kind, such as Deployment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1035Label().validate(self.lowerAscii()).hasValue()",message="must be a kind, such as Deployment: letters and digits only"
	Kind string `json:"kind"`
}

// Attribute is one value that is read from each object.
// +kubebuilder:validation:XValidation:rule="has(self.cel) != has(self.jsonPath)",message="give exactly one of cel and jsonPath"
// +kubebuilder:validation:XValidation:rule="!(has(self.promoted) && self.promoted && has(self.type) && self.type == 'json')",message="promoted needs a scalar type: string, integer, number or boolean",fieldPath=".promoted"
type Attribute struct {
	// Name is the attribute's name in rows, field selectors and columns.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z][a-zA-Z0-9_]*$')",message="must start with a letter and go on with letters, digits and '_'"
	Name string `json:"name"`
	// CEL is an expression over `object`, with the libraries of Kubernetes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	CEL string `json:"cel,omitempty"`
	// JSONPath is a kubectl JSONPath template with one expression, such as
	// {.spec.replicas}.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('{') && self.endsWith('}')",message="must be one expression in braces, such as {.spec.replicas}"
	JSONPath string `json:"jsonPath,omitempty"`
	// Type is what the expression must return.
	// +optional
	// +kubebuilder:default=string
	Type AttributeType `json:"type,omitempty"`
	// Optional says that an object without this attribute is no error.
	// +optional
	Optional bool `json:"optional,omitempty"`
	// Promoted makes the attribute a typed column, an index and a column of
	// printed tables.
	// +optional
	Promoted bool `json:"promoted,omitempty"`
}

// ProfileSpec says which kind of resource to read, and which attributes.
// +kubebuilder:validation:XValidation:rule="!has(self.secretValues) || self.secretValues != 'Allow' || self.resource.kind == 'Secret' && (!has(self.resource.group) || size(self.resource.group) == 0)",message="Allow is for profiles of the kind Secret: remove it",fieldPath=".secretValues"
type ProfileSpec struct {
	// Resource is the kind of resource to read.
	Resource ResourceReference `json:"resource"`
	// SecretValues is Allow to let a profile of Secrets be used. What its
	// expressions take from Secrets is then kept, shown to everybody who may read
	// the rows, whether or not they may read Secrets, and sent to the sinks.
	// Default: Refuse.
	// +optional
	SecretValues SecretValues `json:"secretValues,omitempty"`
	// Attributes are the values to extract from each object. Their names differ
	// in more than case, since SQL readers ignore it.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, b.name.lowerAscii() == a.name.lowerAscii()))",message="attribute names must differ in more than case, since SQL readers ignore it"
	// +optional
	Attributes []Attribute `json:"attributes,omitempty"`
}

// ProfileStatus is what the server found out about a profile.
type ProfileStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Resource is the resolved resource, as group/version/plural.
	// +optional
	Resource string `json:"resource,omitempty"`
	// Conditions: Ready, Extracted; SecretValues on a profile of Secrets.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KollectProfile says which attributes of which kind of resource to read, for
// the targets of its namespace.
// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=kprof,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.resource.kind`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.status.resource`
// +kubebuilder:printcolumn:name="Secrets",type=string,JSONPath=`.spec.secretValues`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectProfile struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to read.
	Spec ProfileSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status ProfileStatus `json:"status,omitempty"`
}

// KollectProfileList is a list of profiles.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectProfileList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectProfile `json:"items"`
}

// KollectClusterProfile is a profile that every target may use.
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=kcprof,categories=kollect
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.resource.kind`
// +kubebuilder:printcolumn:name="Resource",type=string,JSONPath=`.status.resource`
// +kubebuilder:printcolumn:name="Secrets",type=string,JSONPath=`.spec.secretValues`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type KollectClusterProfile struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to read.
	Spec ProfileSpec `json:"spec"`
	// Status is what the server found out.
	// +optional
	Status ProfileStatus `json:"status,omitempty"`
}

// KollectClusterProfileList is a list of cluster profiles.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type KollectClusterProfileList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KollectClusterProfile `json:"items"`
}
