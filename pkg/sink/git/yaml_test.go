package git

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// Any JSON is read back from its YAML as it was.
func TestYAMLStandsForTheSameJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want := map[string]any{"first": random(r, 4), "second": random(r, 4)}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		document := appendYAML(nil, text)
		var got map[string]any
		if err := yaml.Unmarshal(document, &got); err != nil {
			t.Fatalf("%v in\n%s\nof %s", err, document, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got\n%s\nin\n%s\nof %s", diff, document, text)
		}
	}
}

func random(r *rand.Rand, depth int) any {
	switch n := r.IntN(9); {
	case n < 2 && depth > 0:
		object := map[string]any{}
		for range r.IntN(4) {
			object[text(r)] = random(r, depth-1)
		}
		return object
	case n < 4 && depth > 0:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, random(r, depth-1))
		}
		return list
	case n == 4:
		return r.IntN(2) == 0
	case n == 5:
		return float64(r.IntN(1000)) / 8
	case n == 6:
		return nil
	}
	return text(r)
}

func text(r *rand.Rand) string {
	odd := []string{"", "no", "Yes", "null", "~", "1.27", "0x1f", "1e3", "2026-01-01", "nginx:1.27", "a: b", "- x", "a #b", "#", "x:", " x", "x ", "\"", "\\", "a\nb", "\t", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "😀", "<a&b>", "{x}", "[x]", "*x", "&x", "!x", "%x", "@x", "`x", "|", ">", "=", "<<", "/a/b", "true", "INF", ".nan", "a,b", "?", "---", "..."}
	return odd[r.IntN(len(odd))] + odd[r.IntN(len(odd))]
}

func TestYAMLIsReadable(t *testing.T) {
	got := string(appendYAML(nil, []byte(`{"key":"k1","labels":{},"attributes":{"image":"nginx:1.27","on":"yes","ports":[80,443],"rules":[{"host":"a.example","paths":[]},{"host":"*"}],"sets":[["a"],[1,2]]}}`)))
	want := `key: k1
labels: {}
attributes:
  image: nginx:1.27
  "on": "yes"
  ports:
  - 80
  - 443
  rules:
  - host: a.example
    paths: []
  - host: "*"
  sets:
  - - a
  - - 1
    - 2
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
