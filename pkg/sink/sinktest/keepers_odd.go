package sinktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

var errEnough = errors.New("enough")

// odd are names that some part of a destination could take for something else.
// Kubernetes refuses some of them.
var odd = []string{
	"apps", "Apps", "apps.x", "apps-x", "apps_x", "apps/x", "apps:x", "apps x", "a%20b", "a%b", "100%", "$1", "$G",
	"a*b", "*", ">", "a.>", ".", "..", "_cluster", "_", "a,b", "{a}", "(null)", "NULL", "null", `\N`, `\.`, `a\b`, `a\tb`,
	"'", `"`, "';--", "`", "ünïcode", "u\u0308", "日本", "🦀", "=", "?", "#", "~", "a\tb", "a\nb", "+", "e30",
}

// testKeptApart has many inventories in one destination.
func testKeptApart(t *testing.T, d keepers) {
	type place struct {
		cluster string
		inventory.Ref
	}
	places := []place{
		{"demo", inventory.Ref{Namespace: "team-a", Name: "apps"}},
		{"demo", inventory.Ref{Namespace: "team-b", Name: "apps"}},
		{"demo", inventory.Ref{Name: "apps"}},
		{"demo", inventory.Ref{Namespace: "team-a.apps", Name: "x"}},
		{"demo", inventory.Ref{Namespace: "team-a", Name: "apps.x"}},
		{"demo.team-a", inventory.Ref{Namespace: "apps", Name: "x"}},
		{"demo-2", inventory.Ref{Namespace: "team-a", Name: "apps"}},
		{"Demo", inventory.Ref{Namespace: "team-a", Name: "apps"}},
	}
	for i, name := range odd {
		places = append(places, place{name, inventory.Ref{Namespace: odd[(i+1)%len(odd)], Name: odd[(i+2)%len(odd)]}})
		places = append(places, place{"demo", inventory.Ref{Namespace: "team-c", Name: name}})
	}
	samples := make([]*Sample, len(places))
	writers := make([]*writer, len(places))
	shared := d.start(t, NewSample(ref).Snapshot().Inventory())
	for i, p := range places {
		samples[i] = NewSampleOf(p.cluster, p.Ref)
		samples[i].Fill(1 + i%4)
		samples[i].Set("web", fmt.Sprintf("nginx:1.%d", i))
		writers[i] = &writer{keeper: shared.keeper}
		writers[i].resume(t, samples[i].Snapshot().Inventory())
		writers[i].mustExport(t, d, samples[i].Snapshot(), int64(100-i%7))
	}
	for i, s := range samples {
		switch i % 3 {
		case 0:
			s.Delete()
		case 1:
			s.Set("web", "nginx:2.0")
		}
		writers[i].mustExport(t, d, s.Snapshot(), 200)
	}
	for i, s := range samples {
		d.mustHold(t, shared.keeper, s.Snapshot(), writers[i].mark)
	}
}

// testOdd has attributes of all types, and odd strings in all places.
func testOdd(t *testing.T, d keepers) {
	s := NewSample(inventory.Ref{Namespace: odd[len(odd)/2], Name: "apps"})
	for i, attributes := range []string{
		`{}`,
		`{"image":null,"paused":true,"ratio":1e-7,"replicas":0}`,
		`{"image":{"a":[{"b":null},[],{}]},"paused":"yes","ratio":"half","replicas":1.5}`,
		`{"image":["a"],"paused":1,"ratio":1e300,"replicas":9223372036854775807}`,
		`{"image":false,"paused":[],"ratio":-0.1,"replicas":-9223372036854775808}`,
		`{"image":5,"paused":{},"ratio":true,"replicas":12345678901234567890}`,
		`{"image":"","paused":null,"ratio":0.1,"replicas":9007199254740993}`,
		`{"":"no name","a\"b":"\\N","a.b":{"c d":"\u003c\u0026\u003e"},"image":"\\.","tab":"\t\n\r\b\f\u001f\u007f"}`,
	} {
		s.SetAttributes(fmt.Sprintf("typed-%d", i), attributes)
	}
	for i, text := range append(odd, "\u2028\u2029\ufeff\uffff\U0010ffff", strings.Repeat("long ", 20_000)) {
		quoted := string(inventory.AppendJSONString(nil, text))
		s.SetAttributes(fmt.Sprintf("value-%d", i), fmt.Sprintf(`{"image":%s,"list":[%[1]s,{"image":%[1]s}]}`, quoted))
		if len(text) < 100 {
			s.SetAttributes(text, fmt.Sprintf(`{%s:{%[1]s:1}}`, quoted))
		}
	}
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	for _, name := range odd[:len(odd)/2] {
		s.Delete(name)
	}
	for _, name := range odd[len(odd)/2:] {
		s.SetAttributes(name, `{"image":"changed"}`)
	}
	w = d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 2)
}

// plain returns the content with attributes of one form, since destinations that
// know JSON may have another order of members and other ways to write a number.
func plain(c *Content) *Content {
	if c == nil {
		return nil
	}
	p := &Content{Generation: c.Generation, Rows: make(map[string]string, len(c.Rows))}
	known := map[string]string{}
	for key, attributes := range c.Rows {
		form, ok := known[attributes]
		if !ok {
			form = plainJSON(attributes)
			known[attributes] = form
		}
		p.Rows[key] = form
	}
	return p
}

func plainJSON(text string) string {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Sprintf("not JSON: %v: %s", err, text)
	}
	encoded, err := json.Marshal(plainNumbers(value))
	if err != nil {
		return fmt.Sprintf("not JSON: %v: %s", err, text)
	}
	return string(encoded)
}

// plainNumbers replaces numbers, in place, by exact ones.
func plainNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if r, ok := new(big.Rat).SetString(value.String()); ok {
			return map[string]string{"number": r.RatString()}
		}
	case []any:
		for i := range value {
			value[i] = plainNumbers(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = plainNumbers(value[name])
		}
	}
	return value
}
