package inventory

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	"kollect.io/kollect/pkg/inventory"
)

// addAged adds an inventory with rows of all ages, and of promoted attributes
// that are of all types and are missing.
func addAged(s *inventory.Store, ref inventory.Ref) {
	s.Update(func(tx *inventory.Tx) {
		target := *targetOf(ref)
		tx.SetTarget(target, []inventory.Column{
			{Name: "a", Type: inventory.ColumnString}, {Name: "b", Type: inventory.ColumnBoolean},
			{Name: "i", Type: inventory.ColumnInteger}, {Name: "n", Type: inventory.ColumnNumber},
		})
		tx.SetInventory(inventory.Inventory{Ref: ref, UID: "uid", Created: created, Cluster: "<c>", Targets: []inventory.TargetRef{target}})
		for i, age := range []time.Duration{-time.Hour, 0, time.Second, 3 * time.Minute, 200 * time.Minute, 50 * time.Hour, 24 * 900 * time.Hour} {
			attributes := fmt.Sprintf(`{"a":"\u003ca\u003eé","b":%t,"i":%d,"n":1.5e3,"z":[1,"x"]}`, i%2 == 0, i-3)
			if i > 4 {
				attributes = `{"b":"no","i":1.5,"n":null}`
			}
			tx.Put(inventory.NewRow(inventory.RowContent{
				Resource: nodes, Target: &target, Name: fmt.Sprint("n", i), UID: fmt.Sprint(i), Created: time.Now().Add(-age), Attributes: []byte(attributes),
			}), "")
		}
		tx.SetTargetState(target, inventory.TargetState{Synced: true, Stale: true})
	})
}

// Answers are, byte by byte, those that the API server makes of typed objects.
func TestTablesAreThoseOfTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oddStore()
		addAged(s, inventory.Ref{Namespace: "team-c", Name: "aged"})
		addAged(s, inventory.Ref{Name: "aged"})
		addInventory(s, inventory.Ref{Namespace: "team-d", Name: "long"}, 300)
		may := &rights{}
		may.set("alice", inventory.Partition{Group: "apps", Resource: "deployments"}, true)

		written := false
		ours := handlerWith(t, s, may, func(h http.Handler, serializer runtime.NegotiatedSerializer) http.Handler {
			return WithTables(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				written = tableOf(r.Context()) != nil
				h.ServeHTTP(w, r)
			}), serializer)
		})
		theirs := handlerWith(t, s, may, func(h http.Handler, _ runtime.NegotiatedSerializer) http.Handler { return h })

		for _, h := range []http.Handler{ours, theirs} {
			answerOf(t, h, "accessiblerows", asJSON) // by which a caller's first version comes
		}
		resources := []string{
			"inventoryrows", "clusterinventoryrows", "accessiblerows", "inventories", "clusterinventories", "namespaces/team-a/inventoryrows",
			"namespaces/team-c/inventoryrows", "namespaces/team-d/inventoryrows", "namespaces/none/inventoryrows", "namespaces/n/accessiblerows",
		}
		for _, resource := range resources {
			for accept, queries := range map[string]map[string]bool{
				asTable: {
					"": true, "?includeObject=Metadata": true, "?includeObject=None": true, "?includeObject=Object": true, "?includeObject=x": false,
					"?limit=2": true, "?limit=2&includeObject=Object&resourceVersion=0": true, "?labelSelector=n%3D1": true, "?fieldSelector=metadata.name%3Dx": true,
					"?fieldSelector=x%3D1": true, "?continue=x": true, "?pretty=true": false, "?pretty=false": true, "?resourceVersion=1": true,
				},
				asMeta:                  {"": false},
				asTable + ";q=0.5":      {"": true},
				"text/plain," + asTable: {"": true},
				"application/*;as=Table;v=v1;g=meta.k8s.io":                                  {"": false},
				"application/json;as=Table;v=v1beta1;g=meta.k8s.io":                          {"": false},
				"application/json;as=Table;v=v1;g=meta.k8s.io;pretty=1":                      {"": false},
				"*/*;as=Table;v=v1;g=meta.k8s.io":                                            {"": true},
				"application/yaml;as=Table;v=v1;g=meta.k8s.io":                               {"": false},
				"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io":               {"": false},
				"application/json;as=Other;v=v1;g=meta.k8s.io":                               {"": false},
				"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io," + asTable: {"": true},
				"application/json," + asTable:                                                {"": false},
			} {
				for query, want := range queries {
					written = false
					got, expected := answerOf(t, ours, resource+query, accept), answerOf(t, theirs, resource+query, accept)
					if diff := cmp.Diff(expected, got); diff != "" {
						t.Errorf("%s%s as %s: (-API server +ours)\n%s", resource, query, accept, diff)
					}
					if written != want {
						t.Errorf("%s%s as %s: is written by us: %t", resource, query, accept, written)
					}
				}
			}
		}
	})
}

// answerOf returns an answer without what differs from request to request.
func answerOf(t *testing.T, h http.Handler, path, accept string) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), "GET", "/apis/inventory.kollect.io/v1alpha1/"+path, nil)
	request.Header.Set("Accept", accept)
	request.Header.Set("Authorization", "Bearer alice")
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	recorder.Header().Del("Audit-Id")
	// What is no UTF-8, which no source has, is replaced by either of the two.
	body := strings.ReplaceAll(recorder.Body.String(), `\ufffd`, "\ufffd")
	if recorder.Code >= 300 { // errors alone may be indented in another way
		var status metav1.Status
		if err := json.Unmarshal(recorder.Body.Bytes(), &status); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		body = fmt.Sprintf("%+v", status)
	}
	return fmt.Sprintf("%d\n%v\n%s", recorder.Code, recorder.Header(), body)
}

// FuzzRowEncoding compares rows with what encoding/json makes of them.
func FuzzRowEncoding(f *testing.F) {
	for _, s := range []string{"", "x", "seven77", "eight888", "nine99999", "<&>", "é\u2028", "\x7f\x00", "\xff", `"\`, "exactly-sixteen!", "exactly-sixteen\"", "8c0f0000-0000-4000-8000-000000000012"} {
		f.Add(s, s, s, s, s, int64(1_700_000_000), int64(3), true)
		f.Add("name", "", "uid", "label", s, int64(-62135596800), int64(-3), false)
	}
	f.Fuzz(func(t *testing.T, name, namespace, uid, label, attribute string, created, number int64, cluster bool) {
		if created = created % (1 << 37); created < -62135596800 || !utf8.ValidString(label+attribute) {
			return // no year of four digits; nor what the API server takes
		}
		ref := inventory.Ref{Namespace: "team-a", Name: "apps.x"}
		if cluster {
			ref.Namespace = ""
		}
		attributes := marshal(map[string]any{"a": attribute, "b": number%2 == 0, "i": number, "l": []string{attribute}})
		r := row{
			&inventory.Inventory{Ref: ref, Cluster: name},
			inventory.Entry{Key: inventory.Key{1, 2, 3, byte(number), 5, 6, 255, 8, 255}, Version: uint64(number), Row: inventory.NewRow(inventory.RowContent{
				Resource: &inventory.Resource{Group: label, Version: "v1", Resource: attribute, Kind: name}, Target: targetOf(inventory.Ref{Namespace: namespace, Name: name}),
				Namespace: namespace, Name: name, UID: uid, Created: time.Unix(created, 0), Labels: map[string]string{"l": label, label: "l"}, Attributes: attributes,
			})},
		}
		s := newShape([]inventory.Column{{Name: "a", Type: inventory.ColumnString}, {Name: "b", Type: inventory.ColumnBoolean}, {Name: "i", Type: inventory.ColumnNumber}, {Name: "none", Type: inventory.ColumnString}, {Name: "l", Type: inventory.ColumnString}})
		checkEncoding(t, newRowAppender(), r, s, []any{
			r.name(), name, namespace, name, r.Row.Target().String(), attribute, number%2 == 0, number, nil, string(marshal([]string{attribute})),
			age(r.Row.Created()), uid, name,
		})
		checkEncoding(t, accessibleAppender{newRowAppender()}, accessibleRow{r}, nil, []any{
			r.name(), name, name, ref.String(), r.Row.Target().String(), age(r.Row.Created()), string(attributes), uid, name,
		})
	})
}

func age(created time.Time) string {
	if created.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(created))
}

func checkEncoding[T object](t *testing.T, a appender[T], object T, s *shape, cells []any) {
	t.Helper()
	for range 2 { // as the first and as another
		a.expect([]T{object})
		meta := object.meta()
		for what, pair := range map[string][2]string{
			"object":   {string(marshal(object.typed())), string(a.object(nil, object, ""))},
			"metadata": {string(marshal(&meta)), string(a.metadata(nil, object))},
			"cells":    {string(marshal(cells)), string(a.cells(nil, object, s))},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Errorf("%s: (-encoding/json +ours)\n%s", what, diff)
			}
		}
	}
}
