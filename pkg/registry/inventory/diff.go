package inventory

import (
	"context"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// diffs serves how an inventory's rows differ between two versions that the
// store's history has.
type diffs struct {
	store *inventory.Store
	scope inventory.Scope
}

var (
	_ rest.Storage           = &diffs{}
	_ rest.Scoper            = &diffs{}
	_ rest.GetterWithOptions = &diffs{}
)

func (d *diffs) New() runtime.Object   { return &inventoryv1alpha1.InventoryDiff{} }
func (d *diffs) Destroy()              {}
func (d *diffs) NamespaceScoped() bool { return d.scope == inventory.Namespaced }

// NewGetOptions returns the options that Get takes.
func (d *diffs) NewGetOptions() (options runtime.Object, subpath bool, name string) {
	return &inventoryv1alpha1.InventoryDiffOptions{}, false, ""
}

// Get returns the differences of the named inventory between the versions of
// the options.
func (d *diffs) Get(ctx context.Context, name string, object runtime.Object) (runtime.Object, error) {
	options, ok := object.(*inventoryv1alpha1.InventoryDiffOptions)
	if !ok {
		return nil, errors.NewBadRequest(fmt.Sprintf("options are a %T", object))
	}
	if options.From == "" {
		return nil, errors.NewBadRequest("from: a resourceVersion is required, such as a list, a watch or a diff has returned; give ?from=<resourceVersion>")
	}
	from, err := d.at("from", options.From)
	if err != nil {
		return nil, err
	}
	to := d.store.State()
	if options.To != "" {
		if to, err = d.at("to", options.To); err != nil {
			return nil, err
		}
	}
	if to.Version < from.Version {
		return nil, errors.NewBadRequest(fmt.Sprintf("to: %d is before from, %d", to.Version, from.Version))
	}
	ref := inventory.Ref{Namespace: request.NamespaceValue(ctx), Name: name}
	after := to.Snapshot(ref)
	if after == nil {
		return nil, errors.NewNotFound(inventoryv1alpha1.Resource(heads{d.scope}.names().resource), name)
	}
	return newDiff(from, to, ref), nil
}

// at returns the state at the version that an option names.
func (d *diffs) at(option, text string) (*inventory.State, error) {
	version, err := (storage.APIObjectVersioner{}).ParseResourceVersion(text)
	if err != nil || version == 0 {
		return nil, errors.NewBadRequest(fmt.Sprintf("%s: %q is not a resourceVersion that a list, a watch or a diff has returned", option, text))
	}
	state, err := d.store.At(version)
	if err != nil {
		return nil, versionError(err, version, d.store.State().Version,
			fmt.Sprintf("%s: resource version %d is too old, or of another replica: list the rows anew", option, version))
	}
	return state, nil
}

func newDiff(from, to *inventory.State, ref inventory.Ref) *inventoryv1alpha1.InventoryDiff {
	before, after := from.Snapshot(ref), to.Snapshot(ref)
	def := after.Inventory()
	diff := &inventoryv1alpha1.InventoryDiff{
		ObjectMeta: metav1.ObjectMeta{
			Name: ref.Name, Namespace: ref.Namespace, UID: types.UID(def.UID), CreationTimestamp: metav1.Time{Time: def.Created},
			ResourceVersion: strconv.FormatUint(to.Version, 10),
		},
		From:  diffState(from, before),
		To:    diffState(to, after),
		Items: []inventoryv1alpha1.RowDifference{},
	}
	for change := range inventory.Diff(before, after) {
		was, is := row{def, change.Before}, row{def, change.After}
		if before != nil {
			was.inventory = before.Inventory()
		}
		diff.Items = append(diff.Items, difference(was, is))
	}
	return diff
}

func diffState(state *inventory.State, snapshot *inventory.Snapshot) inventoryv1alpha1.DiffState {
	s := inventoryv1alpha1.DiffState{ResourceVersion: strconv.FormatUint(state.Version, 10)}
	if snapshot != nil {
		s.ContentHash, s.Rows = snapshot.Hash().String(), int64(snapshot.Len())
	}
	return s
}

// difference returns how a row differs; without a row it was, or is, not there.
func difference(before, after row) inventoryv1alpha1.RowDifference {
	switch {
	case before.Row == nil:
		return rowDifference(inventoryv1alpha1.RowAdded, after)
	case after.Row == nil:
		return rowDifference(inventoryv1alpha1.RowRemoved, before)
	}
	d := rowDifference(inventoryv1alpha1.RowChanged, after)
	d.ChangedAttributes = changedValues(before.Row.Attributes(), after.Row.Attributes())
	d.ChangedLabels = changedValues(before.Row.Labels(), after.Row.Labels())
	if *before.Row.Resource() != *after.Row.Resource() || !before.Row.Created().Equal(after.Row.Created()) {
		source := before.content().Source
		d.ChangedSource = &source
	}
	if target := before.content().Target; target != d.Target {
		d.ChangedTarget = &target
	}
	return d
}

func rowDifference(kind inventoryv1alpha1.ChangeType, r row) inventoryv1alpha1.RowDifference {
	return inventoryv1alpha1.RowDifference{Type: kind, Name: r.name(), Labels: r.meta().Labels, RowContent: r.content()}
}

// changedValues compares two JSON objects as rows have them, member by member.
func changedValues(before, after string) map[string]inventoryv1alpha1.ChangedValue {
	changed := map[string]inventoryv1alpha1.ChangedValue{}
	var old, is map[string]inventoryv1alpha1.Value
	decode(before, &old)
	decode(after, &is)
	for name, value := range old {
		if now, ok := is[name]; !ok {
			changed[name] = inventoryv1alpha1.ChangedValue{Before: &value}
		} else if string(now.Raw) != string(value.Raw) {
			changed[name] = inventoryv1alpha1.ChangedValue{Before: &value, After: &now}
		}
	}
	for name, value := range is {
		if _, ok := old[name]; !ok {
			changed[name] = inventoryv1alpha1.ChangedValue{After: &value}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return changed
}
