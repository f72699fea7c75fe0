package cloudevent_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var when = time.Date(2026, 11, 21, 23, 4, 5, 678_900_000, time.FixedZone("", 3600))

func attributes(e *cloudevent.Event) map[string]string {
	m := map[string]string{}
	for name, value := range e.Attributes {
		m[name] = value.String()
	}
	return m
}

func TestEventOfARow(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	of := s.Snapshot().Inventory()
	x := cloudevent.NewExport(of, 42, when, cloudevent.Schema(of))
	for e := range s.Snapshot().All() {
		event := x.Upserted(7, e.Key, e.Row)
		want := map[string]string{
			"specversion": "1.0", "id": "demo/team-a/apps/42/7", "type": "io.kollect.row.upserted.v1",
			"source": "/kollect/demo/team-a/apps", "subject": e.Key.String(), "time": "2026-11-21T22:04:05.678Z",
			"cluster": "demo", "generation": "42", "schemaversion": "event/1+ndjson/1",
			"target": "team-a/web", "kind": "Deployment.apps", "rowhash": attributes(event)["rowhash"],
		}
		if diff := cmp.Diff(want, attributes(event)); diff != "" {
			t.Errorf("upserted: -want +got\n%s", diff)
		}
		var row struct {
			Key        string
			Attributes json.RawMessage
		}
		if err := json.Unmarshal(event.Data, &row); err != nil || row.Key != e.Key.String() || string(row.Attributes) != e.Row.Attributes() {
			t.Errorf("data is %s: %v", event.Data, err)
		}
		referred := x.Referred(7, e.Key, e.Row)
		want["dataref"] = "/apis/inventory.kollect.io/v1alpha1/namespaces/team-a/inventoryrows/apps." + e.Key.String()
		if diff := cmp.Diff(want, attributes(referred)); diff != "" {
			t.Errorf("referred: -want +got\n%s", diff)
		}
		delete(want, "dataref")
		var members map[string]json.RawMessage
		if err := json.Unmarshal(referred.Data, &members); err != nil || members["labels"] != nil || members["attributes"] != nil || string(members["key"]) != `"`+e.Key.String()+`"` {
			t.Errorf("data of a reference is %s: %v", referred.Data, err)
		}
		deleted := x.Deleted(8, e.Key, e.Row.Origin())
		delete(want, "rowhash")
		delete(want, "schemaversion")
		want["id"], want["type"] = "demo/team-a/apps/42/8", "io.kollect.row.deleted.v1"
		if diff := cmp.Diff(want, attributes(deleted)); diff != "" || len(deleted.Data) > 0 {
			t.Errorf("deleted: data %s, -want +got\n%s", deleted.Data, diff)
		}
	}
}

// names is what attributes of CloudEvents may be called.
var names = regexp.MustCompile(`^[a-z0-9]+$`)

// FuzzRow checks that what was put into an event is read back as it was.
func FuzzRow(f *testing.F) {
	f.Add("demo", "team-a", "apps", "team-a", "web", "apps", "Deployment")
	f.Add("", "", "", "", "", "", "")
	f.Add("_cluster", "_cluster", "a/b", "a/b", "c/d", "a.b_c", "A.b_c")
	f.Add("\x00", "\r\nce-id: 1", "%", "%2F", "*", ">", " ")
	f.Fuzz(func(t *testing.T, cluster, namespace, name, targetNamespace, targetName, group, kind string) {
		of := &inventory.Inventory{Ref: inventory.Ref{Namespace: namespace, Name: name}, Cluster: cluster}
		row := inventory.NewRow(inventory.RowContent{
			Resource: &inventory.Resource{Group: group, Kind: kind, Version: "v1", Resource: "things"},
			Target:   &inventory.TargetRef{Namespace: targetNamespace, Name: targetName},
			Name:     name, UID: cluster,
		})
		want := inventory.Held{Key: inventory.Key{1, 2, 255}, Hash: row.Hash(), Origin: row.Origin()}
		x := cloudevent.NewExport(of, 1, when, cloudevent.Schema(of))
		upserted, deleted := attributes(x.Upserted(1, want.Key, row)), attributes(x.Deleted(1, want.Key, row.Origin()))
		for there, headers := range map[bool]map[string]string{true: upserted, false: deleted} {
			for name, value := range headers {
				if !names.MatchString(name) || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) || value == "" {
					t.Errorf("header %q is %q", name, value)
				}
			}
			want := want
			if !there {
				want.Hash = inventory.RowHash{}
			}
			got, found, err := cloudevent.ParseRow(func(name string) string { return headers[name] })
			if diff := cmp.Diff(want, got); err != nil || found != there || diff != "" {
				t.Errorf("read back: %v, there %t, -want +got\n%s", err, found, diff)
			}
		}
	})
}

func TestMalformedRowsAreErrors(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	of := s.Snapshot().Inventory()
	x := cloudevent.NewExport(of, 42, when, cloudevent.Schema(of))
	for e := range s.Snapshot().All() {
		for name, value := range map[string]string{
			"type": "io.kollect.checkpoint.v1", "subject": "short", "target": "a b", "kind": "", "rowhash": "00",
		} {
			headers := attributes(x.Upserted(1, e.Key, e.Row))
			headers[name] = value
			if held, _, err := cloudevent.ParseRow(func(name string) string { return headers[name] }); err == nil {
				t.Errorf("%s %q is read as %+v", name, value, held)
			}
		}
	}
}

func TestMarkerCarriesTheMark(t *testing.T) {
	of := &inventory.Inventory{Ref: inventory.Ref{Namespace: "team-a", Name: "apps"}, Cluster: "demo"}
	x := cloudevent.NewExport(of, 3, when, "s")
	mark := sink.Mark{Generation: 3, Hash: "sha256:00", Schema: "s", Rows: 5, Time: when}
	event, err := x.Marker("9", cloudevent.SnapshotEnd, mark)
	if err != nil {
		t.Fatal(err)
	}
	if string(event.ID()) != "demo/team-a/apps/3/9" || attributes(event)["type"] != "io.kollect.snapshot.end.v1" {
		t.Errorf("event is %v", attributes(event))
	}
	got, err := cloudevent.ParseMark(event.Data, of)
	if diff := cmp.Diff(mark, got); err != nil || diff != "" {
		t.Errorf("mark: %v, -want +got\n%s", err, diff)
	}
	for _, data := range []string{"", "{}", "[]", strings.Replace(string(event.Data), "team-a", "team-b", 1)} {
		if mark, err := cloudevent.ParseMark([]byte(data), of); err == nil {
			t.Errorf("%q is read as %+v", data, mark)
		}
	}
}

func TestEventsOfTwoInventoriesDiffer(t *testing.T) {
	ids := map[string]inventory.Inventory{}
	parts := []string{"a", "a/b", "b", "_cluster", "", "_", "a.b"}
	for _, cluster := range parts {
		for _, namespace := range parts {
			for _, name := range parts {
				of := inventory.Inventory{Ref: inventory.Ref{Namespace: namespace, Name: name}, Cluster: cluster}
				event := cloudevent.NewExport(&of, 1, when, "s").Deleted(1, inventory.Key{}, inventory.Origin{})
				if other, taken := ids[string(event.ID())]; taken {
					t.Errorf("%+v and %+v both have an event %s", of, other, event.ID())
				}
				ids[string(event.ID())] = of
			}
		}
	}
}
