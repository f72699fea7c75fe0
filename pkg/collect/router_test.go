package collect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
)

// routed returns a spec that is a target of its own.
func routable(t testing.TB, selector string, in scope, names ...string) *spec {
	t.Helper()
	s, err := labels.Parse(selector)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{scope: in}
	m.spec = newSpec(m, &Target{Labels: s, Names: names})
	return m.spec
}

func TestAnObjectAsksOnlyTheTargetsThatMaySelectIt(t *testing.T) {
	const targets = 10_000
	for _, test := range []struct {
		name string
		spec func(i int) *spec
		set  labels.Set
		want int
	}{
		{"by namespace", func(i int) *spec {
			return routable(t, "", scope{in: newSet([]string{fmt.Sprint("ns-", i)})})
		}, nil, 1},
		{"by label value in all namespaces", func(i int) *spec {
			return routable(t, fmt.Sprintf("tier=%d,stage in (a,b)", i), scope{all: true})
		}, labels.Set{"tier": "7", "stage": "a", "app": "web"}, 1},
		{"by one of several label values", func(i int) *spec {
			return routable(t, fmt.Sprintf("tier in (%d,x%d)", i, i), scope{in: newSet([]string{"ns-7"})})
		}, labels.Set{"tier": "x7"}, 1},
		{"by label key", func(i int) *spec {
			return routable(t, fmt.Sprintf("key-%d", i), scope{all: true})
		}, labels.Set{"key-7": ""}, 1},
		{"by name", func(i int) *spec {
			return routable(t, "", scope{in: newSet([]string{"ns-7"})}, fmt.Sprint("w-", i), fmt.Sprint("v-", i))
		}, nil, 1},
		{"by name in many namespaces", func(i int) *spec {
			in, names := set{"ns-7": {}}, []string{fmt.Sprint("w-", i)}
			if i == 7 { // would take too many slots
				for n := range 100 {
					in[fmt.Sprint("other-", n)] = struct{}{}
					names = append(names, fmt.Sprint("v-", n))
				}
			}
			return routable(t, "", scope{in: in}, names...)
		}, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r router
			specs := make([]*spec, targets)
			for i := range specs {
				specs[i] = test.spec(i)
				r.add(specs[i])
			}
			got, asked := r.route(nil, "ns-7", "w-7", test.set)
			if len(got) != 1 || got[0] != specs[7] {
				t.Errorf("selected: got %d targets, want the one", len(got))
			}
			if asked != test.want {
				t.Errorf("asked: got %d targets of %d, want %d", asked, targets, test.want)
			}
			for _, s := range specs {
				r.remove(s)
			}
			if r.all.size != 0 || len(r.byNamespace) != 0 || len(r.all.names)+len(r.all.labels)+len(r.all.keys) != 0 {
				t.Errorf("left over: %+v", r)
			}
		})
	}
}

func TestRoutesAreWhatSelectorsSay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	selectors := []string{"", "a", "!a", "a=1", "a!=1", "a in (1,2)", "a notin (1,2)", "a=1,b", "b,c!=2", "a>1", "a<2,b=1"}
	var r router
	var specs []*spec
	for range 2000 {
		if len(specs) > 0 && rnd.IntN(3) == 0 {
			i := rnd.IntN(len(specs))
			r.remove(specs[i])
			specs = slices.Delete(specs, i, i+1)
		} else {
			in := scope{all: rnd.IntN(3) == 0, except: set{}, in: set{}}
			for n := range 4 {
				if rnd.IntN(3) == 0 {
					in.in[fmt.Sprint(n)] = struct{}{}
					in.except[fmt.Sprint(n)] = struct{}{}
				}
			}
			var names []string
			if rnd.IntN(4) == 0 {
				names = []string{fmt.Sprint(rnd.IntN(3)), "x"}
			}
			s := routable(t, selectors[rnd.IntN(len(selectors))], in, names...)
			specs = append(specs, s)
			r.add(s)
		}
		object := labels.Set{}
		for _, key := range []string{"a", "b", "c"} {
			if n := rnd.IntN(4); n > 0 {
				object[key] = fmt.Sprint(n)
			}
		}
		namespace, name := fmt.Sprint(rnd.IntN(4)), fmt.Sprint(rnd.IntN(3))
		got, _ := r.route(nil, namespace, name, object)
		want := 0
		for _, s := range specs {
			if s.selects(namespace, name, object) {
				want++
				if !slices.Contains(got, s) {
					t.Fatalf("%s/%s %v does not reach %v", namespace, name, object, s.labels)
				}
			}
		}
		if len(got) != want {
			t.Fatalf("%s/%s %v reaches %d targets, want %d", namespace, name, object, len(got), want)
		}
	}
}
