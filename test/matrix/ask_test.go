package matrix

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// ask is a case: who asks for what, in which form.
type ask struct {
	by                    way
	as                    *caller
	verb                  string // get, list or watch
	resource, subresource string
	namespace, name       string
	form                  string // json, table, cells, metadata; or a format of snapshots
	limit                 int    // of a page; 0: all at once
	field, label          string
	from                  string // a version, of a diff
}

// kind is under what the case is counted.
func (a *ask) kind() string {
	kind := a.verb + " " + a.form
	if a.subresource != "" {
		kind = a.subresource + " " + a.form
	}
	switch {
	case a.limit > 0:
		kind += " paged"
	case a.field != "" || a.label != "":
		kind += " selected"
	}
	return kind
}

// path returns the URL of the page that a token continues with.
func (a *ask) path(token string) string {
	path := root
	if a.namespace != "" {
		path += "namespaces/" + a.namespace + "/"
	}
	path += a.resource
	for _, part := range []string{a.name, a.subresource} {
		if part != "" {
			path += "/" + part
		}
	}
	query := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			query.Set(name, value)
		}
	}
	set("limit", fmt.Sprint(a.limit))
	set("continue", token)
	set("fieldSelector", a.field)
	set("labelSelector", a.label)
	set("from", a.from)
	if a.form == "cells" {
		set("includeObject", "None")
	}
	if a.subresource == "snapshot" {
		set("format", a.form)
	}
	if a.verb == "watch" {
		for _, name := range []string{"watch", "sendInitialEvents", "allowWatchBookmarks"} {
			set(name, "true")
		}
		set("resourceVersionMatch", "NotOlderThan")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func (a *ask) accept() string {
	switch {
	case a.subresource == "snapshot":
		return ""
	case a.form == "table", a.form == "cells":
		return "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
	case a.form == "metadata" && a.verb == "list":
		return "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
	case a.form == "metadata":
		return "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
	}
	return "application/json"
}

// maker makes cases of one caller.
type maker struct {
	*oracle
	ways   [2]way
	as     *caller
	chance *rand.Rand
	asks   []*ask
}

// Of a hundred cases so many are asked of those that are denied, and of others,
// which say more; and so many of them past kube-apiserver, whose authorization
// then says nothing.
const (
	deniedShare, deniedDirect = 13, 60
	share, direct             = 65, 20
)

func (m *maker) add(a ask) {
	a.as, a.by = m.as, m.ways[0]
	share, direct := share, direct
	if m.status(&a) == 403 {
		share, direct = deniedShare, deniedDirect
	}
	if m.chance.IntN(100) >= share {
		return
	}
	if m.chance.IntN(100) < direct {
		a.by = m.ways[1]
	}
	m.asks = append(m.asks, &a)
}

func (m *maker) one(of ...string) string { return of[m.chance.IntN(len(of))] }

// makeAsks returns the cases of a caller, in an order of chance.
func (m *maker) makeAsks() []*ask {
	for _, resource := range resources {
		for _, at := range places(resource) {
			m.lists(resource, at)
			m.add(ask{verb: "watch", resource: resource, namespace: at, form: m.one("json", "table", "metadata")})
			if m.chance.IntN(2) == 0 {
				a := ask{verb: "watch", resource: resource, namespace: at, form: m.one("json", "metadata")}
				m.selectSome(&a)
				m.add(a)
			}
		}
		m.gets(resource)
	}
	m.files("inventories")
	m.files("clusterinventories")
	m.chance.Shuffle(len(m.asks), func(i, j int) { m.asks[i], m.asks[j] = m.asks[j], m.asks[i] })
	return m.asks
}

// places returns the namespaces to ask about: one that does not exist, and all.
func places(resource string) []string {
	if !namespacedResource(resource) {
		return []string{""}
	}
	all := []string{"", unique("nowhere")}
	for _, ns := range namespaces {
		all = append(all, unique(ns))
	}
	return all
}

func (m *maker) lists(resource, at string) {
	for _, form := range []string{"json", "table", "cells", "metadata"} {
		m.add(ask{verb: "list", resource: resource, namespace: at, form: form})
	}
	m.add(ask{verb: "list", resource: resource, namespace: at, form: m.one("json", "json", "table", "metadata"), limit: 1 + m.chance.IntN(7)})
	for range 2 {
		a := ask{verb: "list", resource: resource, namespace: at, form: m.one("json", "table", "metadata"), limit: m.chance.IntN(2) * (1 + m.chance.IntN(5))}
		m.selectSome(&a)
		m.add(a)
	}
}

// selectSome adds selectors, mostly such as select something, whether or not the
// caller may see it.
func (m *maker) selectSome(a *ask) {
	items := m.items[a.resource]
	if a.namespace != "" && m.chance.IntN(3) > 0 {
		items = pick(items, func(i *item) bool { return i.Metadata.Namespace == a.namespace })
	}
	if m.chance.IntN(4) == 0 || len(items) == 0 {
		a.label = m.one("part=a", "part!=b", "part in (a,c)", "!part")
		return
	}
	of := items[m.chance.IntN(len(items))]
	fields := []string{"metadata.name"}
	if namespacedResource(a.resource) {
		fields = append(fields, "metadata.namespace")
	}
	if of.Inventory != "" {
		fields = append(fields, "inventory", "source.kind", "source.group", "source.resource", "source.namespace", "source.name",
			"source.uid", "target", "metadata.name")
	}
	if a.resource == "accessiblerows" {
		fields = append(fields, "inventoryNamespace")
	}
	field := m.one(fields...)
	if of.Inventory != "" && m.chance.IntN(6) == 0 {
		field = "attributes." + m.one(slices.Sorted(keys(of.Attributes))...)
	}
	a.field = field + m.one("=", "=", "=", "!=") + fieldOf(of, field)
	if m.chance.IntN(5) == 0 {
		if other := m.one(fields...); other != field {
			a.field += "," + other + "=" + fieldOf(items[m.chance.IntN(len(items))], other)
		}
	}
}

// gets asks for single objects, for what is only elsewhere, and for what is not.
func (m *maker) gets(resource string) {
	items := slices.Clone(m.items[resource])
	m.chance.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	for n, i := range items {
		if n == 24 {
			break
		}
		m.add(ask{verb: "get", resource: resource, namespace: i.Metadata.Namespace, name: i.Metadata.Name, form: m.one("json", "table", "metadata")})
	}
	for _, at := range places(resource) {
		if at != "" || !namespacedResource(resource) {
			any := items[m.chance.IntN(len(items))].Metadata.Name
			m.add(ask{verb: "get", resource: resource, namespace: at, name: any, form: "json"})
			m.add(ask{verb: "get", resource: resource, namespace: at, name: strings.Replace(any, "q", "p", 1), form: m.one("json", "table")})
		}
	}
}

// files asks for snapshots and diffs of inventories, and of what is none.
func (m *maker) files(resource string) {
	type ref struct{ namespace, name string }
	refs := []ref{}
	for _, head := range m.items[resource] {
		refs = append(refs, ref{head.Metadata.Namespace, head.Metadata.Name})
	}
	for _, at := range places(resource) {
		if at != "" || !namespacedResource(resource) {
			refs = append(refs, ref{at, m.one(unique("none"), unique("wide"), unique("apps"))})
		}
	}
	for _, r := range refs {
		for _, format := range []string{"json", "ndjson", "csv", "parquet"} {
			if m.chance.IntN(2) == 0 {
				m.add(ask{verb: "get", resource: resource, subresource: "snapshot", namespace: r.namespace, name: r.name, form: format})
			}
		}
		m.add(ask{verb: "get", resource: resource, subresource: "diff", namespace: r.namespace, name: r.name, form: "json", from: m.before.version})
	}
}
