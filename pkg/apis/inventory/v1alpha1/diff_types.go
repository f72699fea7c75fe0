package v1alpha1

import (
	"net/url"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// ChangeType says what happened to a row.
type ChangeType string

// The change types. They cover all differences: one that is in neither of two
// versions, or the same in both, is not mentioned.
const (
	RowAdded   ChangeType = "Added"
	RowChanged ChangeType = "Changed"
	RowRemoved ChangeType = "Removed"
)

// InventoryDiff is how the rows of an inventory differ between two versions:
// what inventories/{name}/diff answers.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type InventoryDiff struct {
	metav1.TypeMeta `json:",inline"`
	// Metadata has the inventory's name and namespace; its resourceVersion is
	// that of the later state, from which the next diff goes on.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// From is the earlier state.
	From DiffState `json:"from"`
	// To is the later state.
	To DiffState `json:"to"`
	// Items are the rows that differ, in the order of their names.
	// +listType=atomic
	Items []RowDifference `json:"items"`
}

// DiffState is one of the two states that a diff compares.
type DiffState struct {
	// ResourceVersion of the state.
	ResourceVersion string `json:"resourceVersion"`
	// ContentHash of the inventory's rows; empty if there was no such inventory.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// Rows is how many rows the inventory had.
	Rows int64 `json:"rows"`
}

// RowDifference is a row that differs.
type RowDifference struct {
	// Type is Added, Changed or Removed.
	Type ChangeType `json:"type"`
	// Name of the row.
	Name string `json:"name"`
	// Labels of the row: those of the later state, or the last of a removed row.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// The row's content: that of the later state, or the last of a removed row.
	RowContent `json:",inline"`
	// ChangedAttributes has both values of each attribute that a changed row has
	// otherwise.
	// +optional
	ChangedAttributes map[string]ChangedValue `json:"changedAttributes,omitempty"`
	// ChangedLabels has both values of each label that a changed row has
	// otherwise.
	// +optional
	ChangedLabels map[string]ChangedValue `json:"changedLabels,omitempty"`
	// ChangedSource is the source as it was, if it is not the same: an object may
	// come to be read in another version of its API.
	// +optional
	ChangedSource *Source `json:"changedSource,omitempty"`
	// ChangedTarget is the target that collected the row before, if it is not the
	// same: with dedupe by UID another may come to be the last.
	// +optional
	ChangedTarget *TargetReference `json:"changedTarget,omitempty"`
}

// ChangedValue is a value that is not what it was. No value is null: an
// expression that yields null has extracted none.
type ChangedValue struct {
	// Before is the earlier value; absent if there was none.
	// +optional
	Before *Value `json:"before,omitempty"`
	// After is the later value; absent if there is none.
	// +optional
	After *Value `json:"after,omitempty"`
}

// InventoryDiffOptions are the query parameters of inventories/{name}/diff.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type InventoryDiffOptions struct {
	metav1.TypeMeta `json:",inline"`
	// From is the resource version of the earlier state: one that a list, a watch
	// or a diff has returned. It is required.
	// +optional
	From string `json:"from,omitempty"`
	// To is the resource version of the later state. Default: the newest.
	// +optional
	To string `json:"to,omitempty"`
}

// convertDiffOptions reads the options from a query.
func convertDiffOptions(in, out any, _ conversion.Scope) error {
	query, options := in.(*url.Values), out.(*InventoryDiffOptions)
	options.From, options.To = query.Get("from"), query.Get("to")
	return nil
}

func addDiffOptions(scheme *runtime.Scheme) error {
	return scheme.AddConversionFunc((*url.Values)(nil), (*InventoryDiffOptions)(nil), convertDiffOptions)
}
