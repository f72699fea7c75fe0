package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"k8s.io/apiserver/pkg/authentication/user"

	"kollect.io/kollect/pkg/inventory"
)

func TestCallersAreToldApart(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("group-%d", i)
	}
	users := []*user.DefaultInfo{
		{Name: "a"}, {Name: "a", UID: "b"}, {Name: "ab"}, {UID: "ab"}, {Name: "a", Groups: []string{"b"}}, {Name: "a", Groups: []string{"b", "c"}},
		{Name: "a", Groups: []string{"bc"}}, {Name: "a", Extra: map[string][]string{"b": nil}}, {Name: "a", Extra: map[string][]string{"b": {"c"}}},
		{Name: "a", Groups: []string{"b"}, Extra: map[string][]string{"c": {"d", "e"}}}, {Name: "a", Groups: []string{"b"}, Extra: map[string][]string{"c": {"d"}, "e": nil}},
		{Name: "a", Groups: many}, {Name: "a", Groups: many[1:]},
	}
	keys := map[callerKey]bool{}
	for _, u := range users {
		shuffled := *u
		shuffled.Groups = append(slices.Clone(u.Groups), u.Groups...)
		rand.Shuffle(len(shuffled.Groups), func(i, j int) {
			shuffled.Groups[i], shuffled.Groups[j] = shuffled.Groups[j], shuffled.Groups[i]
		})
		if keyOf(u) != keyOf(&shuffled) {
			t.Errorf("the order of groups counts for %s", u.Name)
		}
		keys[keyOf(u)] = true
	}
	if len(keys) != len(users) {
		t.Errorf("%d users are %d callers", len(users), len(keys))
	}
}

// Who is forgotten comes back with a later Since, and a bound on partitions
// forgets too.
func TestCallersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"), partition("pods", "b"), partition("pods", "c"))
		says := newScript(t, partition("pods", "a"), partition("pods", "b"), partition("pods", "c"))
		for _, options := range []Options{{Callers: 2}, {Partitions: 8}} {
			tables := New(s, says, options)
			first := mustTable(t, tables.Caller(alice))
			mustTable(t, tables.Caller(&user.DefaultInfo{Name: "bob"}))
			if mustTable(t, tables.Caller(alice)) != first {
				t.Errorf("%+v: alice is forgotten", options)
			}
			held := tables.Caller(alice)
			mustTable(t, tables.Caller(&user.DefaultInfo{Name: "bob"}))
			mustTable(t, tables.Caller(&user.DefaultInfo{Name: "carol"}))
			if again := mustTable(t, tables.Caller(alice)); again.Since() <= first.Since() {
				t.Errorf("%+v: alice is remembered", options)
			}
			if mustTable(t, held) != first {
				t.Errorf("%+v: a request loses its table", options)
			}
			if tables.partitions > 8 || tables.callers.Len() > 2 {
				t.Errorf("%+v: %d partitions of %d callers", options, tables.partitions, tables.callers.Len())
			}
		}
	})
}
