package matrix

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// unique returns a name of which a part stands in no other name and in no text
// by chance, so that it is found wherever it leaks.
func unique(name string) string {
	sum := sha256.Sum256([]byte(name))
	digits := base32.HexEncoding.EncodeToString(sum[:])[:8]
	return name + "-q" + strings.ToLower(digits) + "z"
}

// attribute is unique for what may have no dash.
func attribute(name string) string { return strings.ReplaceAll(unique(name), "-", "_") }

// sourceKind is a kind of objects that are collected.
type sourceKind struct {
	resource   schema.GroupVersionResource
	kind       string
	namespaced bool
}

// Two kinds have one name in two groups, of which a right may be about one.
var sourceKinds = map[string]sourceKind{
	"configmaps":  {schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "ConfigMap", true},
	"customs":     {schema.GroupVersionResource{Group: "matrix.example.com", Version: "v1", Resource: "configmaps"}, "ConfigMap", true},
	"deployments": {schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "Deployment", true},
	"accounts":    {schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}, "ServiceAccount", true},
	"namespaces":  {schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "Namespace", false},
}

// profile says which attribute is promoted of a kind; another is not.
type profile struct{ kind, promoted, value string }

var profiles = map[string]profile{
	"configmaps":  {"configmaps", "value", "object.data.value"},
	"settings":    {"configmaps", "setting", "object.data.value"},
	"customs":     {"customs", "custom", "object.data.value"},
	"deployments": {"deployments", "image", "object.spec.template.spec.containers[0].image"},
	"accounts":    {"accounts", "account", "object.metadata.name"},
	"namespaces":  {"namespaces", "phase", "object.metadata.name"},
}

// target collects what a profile says, for an inventory in its own namespace.
type target struct {
	namespace, name, inventory string
	profile                    string
	namespaces                 []string // nil: all of the world
}

// The name of an inventory may continue that of another, whose rows then stand on
// both sides of its own, and two may have one name in two namespaces.
var targets = []target{
	{"n0", "maps", "apps", "configmaps", []string{"n0", "n1"}},
	{"n0", "deployments", "apps", "deployments", []string{"n0"}},
	{"n0", "customs", "apps.sub", "customs", []string{"n0", "n2"}},
	{"n1", "maps", "apps", "settings", []string{"n1"}},
	{"n1", "deployments", "apps", "deployments", []string{"n1"}},
	{"n1", "customs", "apps", "customs", []string{"n1"}},
	{"n1", "accounts", "apps", "accounts", []string{"n1"}},
	{"n2", "deployments", "wide", "deployments", []string{"n0", "n1", "n2", "n3"}},
	{"n3", "accounts", "mixed", "accounts", []string{"n3"}},
	{"n3", "maps", "mixed", "configmaps", []string{"n4"}},
	{"n5", "customs", "empty", "customs", []string{"n5"}},
	{"", "maps", "platform", "configmaps", nil},
	{"", "deployments", "platform", "deployments", nil},
	{"", "accounts", "platform", "accounts", nil},
	{"", "customs", "platform", "customs", nil},
	{"", "namespaces", "platform", "namespaces", nil},
	{"", "maps2", "platform.two", "settings", nil},
	{"", "namespaces2", "platform.two", "namespaces", nil},
}

// inventoryName returns the name of which a target's inventory has the short form.
func inventoryName(short string) string {
	base, rest, dotted := strings.Cut(short, ".")
	if dotted {
		return unique(base) + "." + rest
	}
	return unique(base)
}

// space is unique for a namespace; empty stays empty.
func space(namespace string) string {
	if namespace == "" {
		return ""
	}
	return unique(namespace)
}

// namespaces have sources, but for the last, which has an inventory of none.
var namespaces = []string{"n0", "n1", "n2", "n3", "n4", "n5"}

// create makes an object of a resource.
func (w *world) create(resource schema.GroupVersionResource, kind, namespace, name string, labels map[string]any, rest map[string]any) {
	w.Helper()
	object := map[string]any{"apiVersion": resource.GroupVersion().String(), "kind": kind, "metadata": map[string]any{"name": name, "labels": labels}}
	for field, value := range rest {
		object[field] = value
	}
	_, err := w.any.Resource(resource).Namespace(namespace).Create(w.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	w.must(err)
}

// makeSources makes the namespaces, and objects of each kind in all but the last.
func (w *world) makeSources() {
	w.Helper()
	for i, ns := range namespaces {
		w.create(sourceKinds["namespaces"].resource, "Namespace", "", unique(ns), map[string]any{"matrix": "true", "part": part(i)}, nil)
		w.makeSource("accounts", ns, "default") // with whose rights targets collect
		if ns == "n5" {
			continue
		}
		for _, kind := range []string{"configmaps", "deployments", "customs"} {
			w.makeSource(kind, ns, kind+"-"+ns)
		}
		w.makeSource("configmaps", ns, "another-"+ns)
	}
}

func part(i int) string { return string(rune('a' + i%3)) }

// makeSource makes an object with a unique name, unless its name is default.
func (w *world) makeSource(kind, namespace, name string) {
	w.Helper()
	k := sourceKinds[kind]
	content := map[string]any{}
	switch kind {
	case "configmaps", "customs":
		content["data"] = map[string]any{"value": unique("value-" + name)}
	case "deployments":
		pod := map[string]any{"app": "x"}
		content["spec"] = map[string]any{"selector": map[string]any{"matchLabels": pod}, "template": map[string]any{
			"metadata": map[string]any{"labels": pod},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "x", "image": unique("image-" + name)}}},
		}}
	}
	if name != "default" {
		name = unique(name)
	}
	w.create(k.resource, k.kind, unique(namespace), name, map[string]any{"part": part(len(name) + len(kind))}, content)
}

// makeTargets makes profiles, targets and inventories.
func (w *world) makeTargets() {
	w.Helper()
	resource := func(name string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "kollect.io", Version: "v1alpha1", Resource: name}
	}
	for name, p := range profiles {
		k := sourceKinds[p.kind]
		w.create(resource("kollectclusterprofiles"), "KollectClusterProfile", "", unique(name), nil, map[string]any{"spec": map[string]any{
			"resource": map[string]any{"group": k.resource.Group, "kind": k.kind},
			"attributes": []any{
				map[string]any{"name": attribute(p.promoted), "cel": p.value, "promoted": true},
				map[string]any{"name": attribute("raw" + p.promoted), "cel": "object.metadata.name"},
			},
		}})
	}
	made := map[string]bool{}
	for _, t := range targets {
		kinds, prefix := "kollect", "Kollect"
		ref := map[string]any{"kind": "KollectClusterProfile", "name": unique(t.profile)}
		if t.namespace == "" {
			kinds, prefix, ref = "kollectcluster", "KollectCluster", map[string]any{"name": unique(t.profile)}
		}
		label := map[string]any{inventoryName(t.inventory): "true"}
		selected := map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"matrix": "true"}}}
		if t.namespaces != nil {
			selected = map[string]any{"names": uniques(t.namespaces)}
		}
		spec := map[string]any{"profileRef": ref, "namespaces": selected}
		if t.profile == "namespaces" {
			spec = map[string]any{"profileRef": ref, "selector": selected["selector"]}
		}
		w.create(resource(kinds+"targets"), prefix+"Target", space(t.namespace), unique(t.name), label, map[string]any{"spec": spec})
		if at := t.namespace + "/" + t.inventory; !made[at] {
			made[at] = true
			w.create(resource(kinds+"inventories"), prefix+"Inventory", space(t.namespace), inventoryName(t.inventory), nil,
				map[string]any{"spec": map[string]any{"targetSelector": map[string]any{"matchLabels": label}}})
		}
	}
}

func uniques(names []string) []any {
	var all []any
	for _, name := range names {
		all = append(all, unique(name))
	}
	return all
}
