package extract

import (
	"fmt"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// configMap is an object of common size.
func configMap() map[string]any {
	data := map[string]any{}
	for i := range 5 {
		data[fmt.Sprint("key", i)] = fmt.Sprint("value of key ", i)
	}
	labels := map[string]any{"app": "shop", "tier": "web", "team": "a", "release": "r7", "app.kubernetes.io/version": "1.27"}
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{"name": "settings", "namespace": "team-a", "uid": "8c0f", "labels": labels},
	}
}

func BenchmarkAttributes(b *testing.B) {
	for _, language := range []struct {
		name       string
		attributes []kollectv1alpha1.Attribute
	}{
		{"plain", []kollectv1alpha1.Attribute{
			{Name: "a", CEL: "object.data.key0"},
			{Name: "b", CEL: "object.data.key1"},
			{Name: "c", CEL: `object.metadata.labels["app.kubernetes.io/version"]`},
			{Name: "d", JSONPath: "{.metadata.labels.tier}"},
			{Name: "e", JSONPath: "{.metadata.labels.none}", Optional: true},
		}},
		{"cel", []kollectv1alpha1.Attribute{
			{Name: "a", CEL: `object.data.key0 + "/" + object.data.key1`},
			{Name: "b", CEL: `object.?metadata.?labels.?tier.orValue("none")`},
			{Name: "c", CEL: `object.metadata.labels.filter(k, k.startsWith("t"))`, Type: "json"},
			{Name: "d", CEL: `object.data.size()`, Type: "integer"},
			{Name: "e", CEL: `object.metadata.name in ["settings", "other"]`, Type: "boolean"},
		}},
		{"jsonpath", []kollectv1alpha1.Attribute{
			{Name: "a", JSONPath: "{.data.*}"},
			{Name: "b", JSONPath: "{.metadata.labels['tier','team']}"},
			{Name: "c", JSONPath: "{..key3}"},
			{Name: "d", JSONPath: "{.metadata['name','uid']}", Type: "json"},
			{Name: "e", JSONPath: "{.data['key0','none']}"},
		}},
	} {
		b.Run(language.name, func(b *testing.B) {
			profile, errs := Compile(language.attributes)
			if len(errs) > 0 {
				b.Fatal(errs)
			}
			object := configMap()
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				if buf, errs = profile.Attributes(buf[:0], object); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	match, err := CompileMatch(`object.metadata.name != "canary"`)
	if err != nil {
		b.Fatal(err)
	}
	object := configMap()
	b.ReportAllocs()
	for b.Loop() {
		if matches, err := match.Matches(object); !matches || err != nil {
			b.Fatal(matches, err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, errs := Compile(exampleProfile()); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
