package matrix

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// oracle says what one caller is to get.
type oracle struct {
	*truth
	before *truth
	rights *rights
	// accessible are the rows that the caller may see in accessiblerows.
	accessible []*item
}

func newOracle(now, before *truth, c *caller) *oracle {
	o := &oracle{truth: now, before: before, rights: now.rbac.of(c.user, groupsOf(c.user, c.groups))}
	o.accessible = pick(now.items["accessiblerows"], o.mayListSource)
	return o
}

func (o *oracle) mayListSource(i *item) bool {
	return i.Source.Namespace != "" && o.rights.allow(question{
		verb: "list", group: i.Source.Group, resource: i.Source.Resource, namespace: i.Source.Namespace,
	})
}

// verdict is what is to come: a status, and with 200 objects, or differences.
type verdict struct {
	status  int
	items   []*item
	changes []string // type and name
	traces  map[string]bool
	columns []string // nil: any
}

func (o *oracle) judge(a *ask) *verdict {
	v := &verdict{status: o.status(a), traces: map[string]bool{}}
	tracesIn(v.traces, a.path(""), a.as.user, a.namespace, a.name, a.field)
	if v.status == 400 {
		for column := range o.promoted(a) {
			tracesIn(v.traces, column)
		}
	}
	if v.status != 200 {
		return v
	}
	switch {
	case a.subresource == "diff":
		o.diff(a, v)
	case a.subresource == "snapshot":
		o.snapshot(a, v)
	default:
		v.items = o.selected(a)
		o.table(a, v)
	}
	for _, i := range v.items {
		maps.Copy(v.traces, i.traces)
	}
	return v
}

// status says whether the caller may, and whether there is such a thing.
func (o *oracle) status(a *ask) int {
	q := question{verb: a.verb, group: served, resource: a.resource, subresource: a.subresource, namespace: a.namespace, name: a.name}
	if a.verb != "get" { // the right may be that to one name
		for _, term := range strings.Split(a.field, ",") {
			if name, ok := strings.CutPrefix(term, "metadata.name="); ok {
				q.name = name // no two terms are about one field
			}
		}
	}
	switch {
	case !o.rights.allow(q):
		return 403
	case a.verb == "get" && len(o.selected(a)) == 0:
		return 404
	case !o.knows(a):
		return 400
	}
	return 200
}

// knows reports whether attributes that are selected are promoted, where it may
// be told.
func (o *oracle) knows(a *ask) bool {
	if a.resource == "accessiblerows" {
		return true
	}
	for _, term := range strings.Split(a.field, ",") {
		field, _, _ := strings.Cut(strings.Replace(term, "!", "", 1), "=")
		if name, ok := strings.CutPrefix(field, "attributes."); ok && !o.promoted(a)[name] {
			return false
		}
	}
	return true
}

// promoted returns the attributes that the inventories promote which a request
// is about.
func (o *oracle) promoted(a *ask) map[string]bool {
	promoted := map[string]bool{}
	for _, t := range targets {
		if namespacedResource(a.resource) != (t.namespace != "") || a.namespace != "" && a.namespace != space(t.namespace) {
			continue
		}
		if o.within(a, t) {
			promoted[attribute(profiles[t.profile].promoted)] = true
		}
	}
	return promoted
}

// within reports whether the selector of a request leaves the target's inventory.
func (o *oracle) within(a *ask, t target) bool {
	for _, term := range strings.Split(a.field, ",") {
		field, value, _ := strings.Cut(term, "=")
		switch field {
		case "inventory":
			if value != inventoryName(t.inventory) {
				return false
			}
		case "metadata.namespace":
			if value != space(t.namespace) {
				return false
			}
		case "metadata.name":
			if value[:max(0, strings.LastIndexByte(value, '.'))] != inventoryName(t.inventory) {
				return false
			}
		}
	}
	return true
}

// selected returns the objects that the caller may see, of those that the request
// is about.
func (o *oracle) selected(a *ask) []*item {
	items := o.items[a.resource]
	if a.resource == "accessiblerows" {
		items = o.accessible
	}
	label, err := labels.Parse(a.label)
	if err != nil {
		panic(err)
	}
	return pick(items, func(i *item) bool {
		return (a.namespace == "" || i.Metadata.Namespace == a.namespace) && (a.name == "" || i.Metadata.Name == a.name) &&
			matchesFields(i, a.field) && label.Matches(labels.Set(i.Metadata.Labels))
	})
}

func matchesFields(i *item, selector string) bool {
	if selector == "" {
		return true
	}
	for _, term := range strings.Split(selector, ",") {
		if field, value, ok := strings.Cut(term, "!="); ok {
			if fieldOf(i, field) == value {
				return false
			}
		} else if field, value, _ := strings.Cut(term, "="); fieldOf(i, field) != value {
			return false
		}
	}
	return true
}

func fieldOf(i *item, field string) string {
	if name, ok := strings.CutPrefix(field, "attributes."); ok {
		value, _ := i.Attributes[name].(string)
		return value
	}
	return map[string]string{
		"metadata.name": i.Metadata.Name, "metadata.namespace": i.Metadata.Namespace,
		"inventory": i.Inventory, "inventoryNamespace": i.InventoryNamespace,
		"source.kind": i.Source.Kind, "source.group": i.Source.Group, "source.resource": i.Source.Resource,
		"source.namespace": i.Source.Namespace, "source.name": i.Source.Name, "source.uid": i.Source.UID,
		"target": strings.TrimPrefix(i.Target.Namespace+"/"+i.Target.Name, "/"),
	}[field]
}

// snapshot has all rows of an inventory, and what its readers know of it.
func (o *oracle) snapshot(a *ask, v *verdict) {
	head := o.selected(&ask{resource: a.resource, namespace: a.namespace, name: a.name})[0]
	v.items = o.rowsOf(rowsOf(a.resource), head)
	maps.Copy(v.traces, head.traces)
	for column := range o.promoted(&ask{resource: a.resource, namespace: a.namespace, field: "inventory=" + a.name}) {
		tracesIn(v.traces, column)
	}
}

func rowsOf(heads string) string { return strings.TrimSuffix(heads, "inventories") + "inventoryrows" }

// diff has what the rows of two times differ by.
func (o *oracle) diff(a *ask, v *verdict) {
	about := &ask{resource: a.resource, namespace: a.namespace, name: a.name}
	was, is := map[string]*item{}, map[string]*item{}
	for t, rows := range map[*truth]map[string]*item{o.before: was, o.truth: is} {
		head := (&oracle{truth: t}).selected(about)[0]
		maps.Copy(v.traces, head.traces)
		for _, i := range t.rowsOf(rowsOf(a.resource), head) {
			rows[i.Metadata.Name] = i
		}
	}
	for name, i := range is {
		switch old := was[name]; {
		case old == nil:
			v.changes = append(v.changes, "Added "+name)
		case content(old) != content(i):
			v.changes = append(v.changes, "Changed "+name)
			maps.Copy(v.traces, old.traces)
		default:
			continue
		}
		maps.Copy(v.traces, i.traces)
	}
	for name, i := range was {
		if is[name] == nil {
			v.changes = append(v.changes, "Removed "+name)
			maps.Copy(v.traces, i.traces)
		}
	}
	slices.Sort(v.changes)
}

// content is what changes of a row.
func content(i *item) string {
	text, err := json.Marshal([]any{i.Metadata.Labels, i.Attributes})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// table says which columns a table has. Which attributes are among them tells of
// inventories, so they are those of inventories that the caller may read.
func (o *oracle) table(a *ask, v *verdict) {
	if a.form != "table" && a.form != "cells" {
		return
	}
	switch a.resource {
	case "accessiblerows":
		v.columns = []string{"Name", "Kind", "Source", "Inventory", "Target", "Age", "Attributes", "UID", "Cluster"}
	case "inventoryrows", "clusterinventoryrows":
		for column := range o.promoted(&ask{resource: a.resource, namespace: a.namespace, field: a.field}) {
			tracesIn(v.traces, column)
		}
		if a.verb == "list" && a.field == "" {
			v.columns = append([]string{"Name", "Kind", "Source Namespace", "Source", "Target"}, o.promotedColumns(a)...)
			v.columns = append(v.columns, "Age", "UID", "Cluster")
		}
	}
}

// promotedColumns are there if one inventory, or one kind, is listed.
func (o *oracle) promotedColumns(a *ask) (columns []string) {
	inventories, kinds := map[string]bool{}, map[string]bool{}
	for _, i := range pick(o.items[a.resource], func(i *item) bool { return a.namespace == "" || i.Metadata.Namespace == a.namespace }) {
		inventories[i.Metadata.Namespace+"/"+i.Inventory] = true
		kinds[i.Source.Group+"/"+i.Source.Kind] = true
	}
	if len(inventories) == 0 || len(inventories) > 1 && len(kinds) > 1 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(o.promoted(a))) {
		columns = append(columns, fmt.Sprintf("%s%s", strings.ToUpper(name[:1]), name[1:]))
	}
	return columns
}

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
