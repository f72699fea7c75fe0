package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// compare returns what is wrong with a reply.
func (v *verdict) compare(a *ask, r *reply) (wrong []string) {
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if r.status != v.status {
		fault("status %d, want %d: %.300s", r.status, v.status, strings.Join(r.text, " "))
	} else if v.status == 200 {
		if r.names != nil || a.form == "cells" || a.subresource == "snapshot" {
			compareSets(fault, "names", r.names, names(v.items))
		} else {
			compareSets(fault, "objects", ids(r.items), ids(v.items))
			compareOrder(fault, r.items)
		}
		compareSets(fault, "changes", r.changes, v.changes)
		compareContent(fault, a, r.items, v.items)
		for _, count := range r.counts {
			fault("%s", count)
		}
		if v.columns != nil && r.columns != nil && !slices.Equal(r.columns, v.columns) {
			fault("columns %q, want %q", r.columns, v.columns)
		}
	}
	for _, trace := range v.foreign(r.text) {
		fault("a trace of what is not to be seen: %s", trace)
	}
	return wrong
}

// foreign returns the traces in the texts that are not to be there.
func (v *verdict) foreign(texts []string) (foreign []string) {
	found := map[string]bool{}
	tracesIn(found, texts...)
	for trace := range found {
		if !v.traces[trace] {
			foreign = append(foreign, trace)
		}
	}
	return foreign
}

func names(items []*item) (names []string) {
	for _, i := range items {
		names = append(names, i.Metadata.Name)
	}
	return names
}

func ids(items []*item) (ids []string) {
	for _, i := range items {
		ids = append(ids, i.id())
	}
	return ids
}

func compareSets(fault func(string, ...any), what string, got, want []string) {
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	for _, id := range without(got, want) {
		fault("%s: got %s, which is not to come", what, id)
	}
	for _, id := range without(want, got) {
		fault("%s: %s is missing", what, id)
	}
	if len(got) > len(slices.Compact(slices.Clone(got))) {
		fault("%s: some came twice: %v", what, got)
	}
}

func without(all, some []string) (rest []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

func compareOrder(fault func(string, ...any), items []*item) {
	if !slices.IsSortedFunc(items, func(a, b *item) int { return strings.Compare(a.key(), b.key()) }) {
		fault("out of order: %v", ids(items))
	}
}

// compareContent looks at all of rows that JSON lists, which are to be those that
// the administrator sees.
func compareContent(fault func(string, ...any), a *ask, got, want []*item) {
	if a.verb != "list" || a.form != "json" || len(got) != len(want) || !strings.HasSuffix(a.resource, "rows") {
		return
	}
	for i := range got {
		if !bytes.Equal(got[i].raw, want[i].raw) {
			fault("got %s, want %s", got[i].raw, want[i].raw)
		}
	}
}

// The judge finds each fault that an answer can have.
func TestTheJudgeFindsFaults(t *testing.T) {
	object := func(name string) *item {
		i, err := parseItem(fmt.Appendf(nil, `{"metadata":{"namespace":"a","name":%q,"uid":"1"}}`, name))
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	seen, hidden := object(unique("seen")), object(unique("hidden"))
	list := &ask{verb: "list", resource: "accessiblerows", form: "json"}
	want := &verdict{status: 200, items: []*item{seen}, traces: map[string]bool{}, columns: []string{"Name"}}
	tracesIn(want.traces, string(seen.raw))
	for name, test := range map[string]struct {
		got  reply
		want string
	}{
		"none":          {reply{status: 200, items: []*item{seen}, columns: []string{"Name"}}, ""},
		"a leak":        {reply{status: 200, items: []*item{hidden, seen}}, "is not to come"},
		"a missing row": {reply{status: 200}, "is missing"},
		"a row twice":   {reply{status: 200, items: []*item{seen, seen}}, "came twice"},
		"the order":     {reply{status: 200, items: []*item{seen, hidden}}, "out of order"},
		"the content":   {reply{status: 200, items: []*item{{Metadata: seen.Metadata, raw: json.RawMessage("{}")}}}, "got {}"},
		"a trace":       {reply{status: 200, items: []*item{seen}, text: []string{"after/" + unique("hidden") + ".0"}}, "a trace"},
		"a count":       {reply{status: 200, items: []*item{seen}, counts: []string{"remainingItemCount is 7"}}, "is 7"},
		"a column":      {reply{status: 200, items: []*item{seen}, columns: []string{"Name", "Image"}}, "columns"},
		"the status":    {reply{status: 403}, "want 200"},
	} {
		wrong := strings.Join(want.compare(list, &test.got), "; ")
		if test.want == "" && wrong != "" || !strings.Contains(wrong, test.want) {
			t.Errorf("%s: got %q, want %q", name, wrong, test.want)
		}
	}
}
