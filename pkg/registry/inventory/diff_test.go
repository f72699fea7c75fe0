package inventory

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

func TestDiffOfVersions(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	before := s.State().Version
	addInventory(s, apps, 5)
	first := s.State().Version
	target := &inventory.TargetRef{Namespace: apps.Namespace, Name: apps.Name}
	var put []inventory.RowContent
	put = append(put,
		inventory.RowContent{Name: "changed", UID: "u1", Labels: map[string]string{"app": "web", "old": "1"}, Attributes: []byte(`{"image":"nginx:1","replicas":2}`)},
		inventory.RowContent{Name: "removed", UID: "u2"},
	)
	resource := &inventory.Resource{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}
	row := func(c inventory.RowContent) *inventory.Row {
		c.Resource, c.Target, c.Namespace = resource, target, apps.Namespace
		return inventory.NewRow(c)
	}
	s.Update(func(tx *inventory.Tx) {
		for _, c := range put {
			tx.Put(row(c), "")
		}
	})
	second := s.State().Version
	s.Update(func(tx *inventory.Tx) {
		tx.Remove(row(put[1]))
		tx.Put(row(inventory.RowContent{Name: "added", UID: "u3", Attributes: []byte(`{"ready":true}`)}), "")
		put[0].Labels = map[string]string{"app": "web", "new": "1"}
		put[0].Attributes = []byte(`{"image":"nginx:2","replicas":2}`)
		tx.Put(row(put[0]), "")
	})
	third := s.State().Version
	config := serve(t, s)
	diff := func(query string) inventoryv1alpha1.InventoryDiff {
		t.Helper()
		code, _, body := get(t, config, http.MethodGet, "namespaces/team-a/inventories/apps/diff?"+query, asJSON)
		var d inventoryv1alpha1.InventoryDiff
		if err := json.Unmarshal(body, &d); code != http.StatusOK || err != nil {
			t.Fatalf("diff?%s: %d %s %v", query, code, body, err)
		}
		return d
	}

	d := diff("from=" + strconv.FormatUint(second, 10))
	if d.Kind != "InventoryDiff" || d.ResourceVersion != strconv.FormatUint(third, 10) || d.From.Rows != 7 || d.To.Rows != 7 || d.From.ContentHash == d.To.ContentHash {
		t.Errorf("diff is %s of version %s from %+v to %+v", d.Kind, d.ResourceVersion, d.From, d.To)
	}
	got := map[string]inventoryv1alpha1.RowDifference{}
	for _, item := range d.Items {
		got[string(item.Type)+" "+item.Source.Name] = item
	}
	if len(d.Items) != 3 || len(got) != 3 {
		t.Fatalf("differences are %+v", d.Items)
	}
	if item, ok := got["Added added"]; !ok || string(item.Attributes["ready"].Raw) != "true" || item.ChangedAttributes != nil {
		t.Errorf("added: %+v", item)
	}
	if item, ok := got["Removed removed"]; !ok || item.ChangedLabels != nil {
		t.Errorf("removed: %+v", item)
	}
	item := got["Changed changed"]
	image := item.ChangedAttributes["image"]
	if len(item.ChangedAttributes) != 1 || image.Before == nil || string(image.Before.Raw) != `"nginx:1"` || image.After == nil || string(image.After.Raw) != `"nginx:2"` {
		t.Errorf("changed attributes: %+v", item.ChangedAttributes)
	}
	if old, is := item.ChangedLabels["old"], item.ChangedLabels["new"]; len(item.ChangedLabels) != 2 || old.Before == nil || old.After != nil || is.Before != nil || is.After == nil {
		t.Errorf("changed labels: %+v", item.ChangedLabels)
	}
	if item.ChangedSource != nil || item.ChangedTarget != nil || item.Labels["new"] != "1" {
		t.Errorf("changed row: %+v", item)
	}
	if !slices.IsSortedFunc(d.Items, func(a, b inventoryv1alpha1.RowDifference) int {
		return map[bool]int{true: -1, false: 1}[a.Name < b.Name]
	}) {
		t.Error("differences are not ordered by name")
	}

	if d := diff("from=" + strconv.FormatUint(first, 10) + "&to=" + strconv.FormatUint(second, 10)); len(d.Items) != 2 || d.Items[0].Type != inventoryv1alpha1.RowAdded || d.To.Rows != 7 {
		t.Errorf("diff up to a past version: %+v", d)
	}
	if d := diff("from=" + strconv.FormatUint(third, 10)); len(d.Items) != 0 || d.From.ContentHash != d.To.ContentHash {
		t.Errorf("diff of nothing: %+v", d)
	}
	if d := diff("from=" + strconv.FormatUint(before, 10)); len(d.Items) != 7 || d.From.ContentHash != "" {
		t.Errorf("diff from before the inventory: %+v", d)
	}
}

func TestBadDiffs(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 5)
	newest := s.State().Version
	version := func(v uint64) string { return strconv.FormatUint(v, 10) }
	config := serve(t, s)
	const path = "namespaces/team-a/inventories/apps/diff"
	for query, want := range map[string]int{
		path:                                 http.StatusBadRequest,
		path + "?from=":                      http.StatusBadRequest,
		path + "?from=0":                     http.StatusBadRequest,
		path + "?from=x":                     http.StatusBadRequest,
		path + "?from=-1":                    http.StatusBadRequest,
		path + "?from=5":                     http.StatusGone,
		path + "?from=" + version(newest+1):  http.StatusGatewayTimeout,
		path + "?from=" + version(newest>>1): http.StatusGone,
		path + "?from=9223372036854775807":   http.StatusGatewayTimeout,
		path + "?from=" + version(newest) + "&to=" + version(newest-1):    http.StatusBadRequest,
		"namespaces/team-a/inventories/none/diff?from=" + version(newest): http.StatusNotFound,
		"namespaces/team-b/inventories/apps/diff?from=" + version(newest): http.StatusNotFound,
		"clusterinventories/apps/diff?from=" + version(newest):            http.StatusNotFound,
	} {
		if code, _, body := get(t, config, http.MethodGet, query, asJSON); code != want {
			t.Errorf("%s: %d %s, want %d", query, code, body, want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		if code, _, _ := get(t, config, method, path, asJSON); code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, code)
		}
	}
}
