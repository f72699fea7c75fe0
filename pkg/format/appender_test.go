package format_test

import (
	"testing"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

func TestAppenderAppendsEachRowAsItIs(t *testing.T) {
	resources := []*inventory.Resource{
		{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"},
		{Version: "v1", Resource: "nodes", Kind: "Node"},
	}
	targets := []*inventory.TargetRef{{Namespace: "team-a", Name: "web"}, {Name: "web"}, {Name: "<&>"}}
	for _, of := range []*inventory.Inventory{
		{Cluster: "demo", Ref: inventory.Ref{Namespace: "team-a", Name: "apps"}},
		{Cluster: `"`, Ref: inventory.Ref{Name: "apps"}},
	} {
		appender := format.NewAppender(of)
		for i := range 24 { // in all orders of two
			row := inventory.NewRow(inventory.RowContent{
				Resource: resources[i/2%2], Target: targets[i*i/3%3], Name: "web", UID: "1", Attributes: []byte(`{"n":1}`),
			})
			e := inventory.Entry{Key: inventory.Key{byte(i)}, Row: row}
			before := "before"
			got, want := string(appender.AppendRow([]byte(before), &e)), before+string(format.AppendRow(nil, of, &e))
			if got != want {
				t.Errorf("row %d is %s, want %s", i, got, want)
			}
		}
	}
}
