package collect

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// clients returns a client as the collector has it and client-go's own, of an
// API server that always gives the same answer.
func clients(t *testing.T, code int, answer string) (ours, theirs dynamic.Interface) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	ours, err := NewClient(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

const mapEvent = `{"type":"%s","object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","resourceVersion":"12","labels":{"a":"\"}}\n{"}},"data":{"n":1,"f":1.5,"s":"%s","l":[1,null,true]}}}` + "\n"

func TestWatchesDecodeAsThoseOfClientGo(t *testing.T) {
	event := func(kind, data string) string { return fmt.Sprintf(mapEvent, kind, data) }
	pretty := "{\n  \"type\": \"ADDED\",\n  \"object\": {\n    \"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n    \"metadata\": {\"name\": \"b\"}\n  }\n}\n"
	status := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}` + "\n"
	bookmark := `{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"13","annotations":{"k8s.io/initial-events-end":"true"}}}}` + "\n"
	for _, test := range []struct{ name, stream string }{
		{"events", event("ADDED", "x") + event("MODIFIED", "y") + event("DELETED", "z")},
		{"nothing", ""},
		{"a bookmark", bookmark},
		{"an error", event("ADDED", "x") + status},
		{"an event longer than the buffers", event("ADDED", strings.Repeat("x", 200_000)) + event("ADDED", "x")},
		{"an event in several lines", pretty + event("ADDED", "x") + pretty},
		{"an event in another order", `{"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}},"type":"ADDED"}` + "\n"},
		{"empty lines", "\n\n" + event("ADDED", "x") + "\n" + event("ADDED", "y")},
		{"no end of line", strings.TrimSpace(event("ADDED", "x"))},
		{"half an event", event("ADDED", "x") + `{"type":"ADDED","object":{"apiVer`},
		{"no kind", `{"type":"ADDED","object":{"apiVersion":"v1","metadata":{"name":"b"}}}` + "\n"},
		{"an unknown type", `{"type":"STRANGE","object":{"apiVersion":"v1","kind":"ConfigMap"}}` + "\n"},
		{"an object that is no JSON", `{"type":"ADDED","object":{"apiVersion":}}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs := clients(t, http.StatusOK, test.stream)
			want, got := watched(t, theirs), watched(t, ours)
			if diff := cmp.Diff(want, got); diff != "" && !bothFail(want, got) {
				t.Errorf("events (-client-go +ours):\n%s", diff)
			}
		})
	}
}

// bothFail reports whether two sequences of events differ only in the error at
// their ends, which has the decoder's own words.
func bothFail(a, b []watch.Event) bool {
	n := len(a) - 1
	return n >= 0 && len(b) == n+1 && a[n].Type == watch.Error && b[n].Type == watch.Error &&
		apierrors.IsInternalError(apierrors.FromObject(a[n].Object)) == apierrors.IsInternalError(apierrors.FromObject(b[n].Object)) &&
		!apierrors.IsResourceExpired(apierrors.FromObject(a[n].Object)) && cmp.Equal(a[:n], b[:n])
}

func watched(t *testing.T, client dynamic.Interface) (events []watch.Event) {
	t.Helper()
	w, err := client.Resource(widgets).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		events = append(events, event)
	}
	return events
}

func TestListsDecodeAsThoseOfClientGo(t *testing.T) {
	failure := `{"kind":"Status","apiVersion":"v1","metadata":{"continue":"rest"},"status":"Failure","message":"no","reason":"%s","code":%d}`
	for _, test := range []struct {
		name   string
		code   int
		answer string
	}{
		{"items without a kind", 200, `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"c","remainingItemCount":3},"items":[{"metadata":{"name":"a"},"data":{"n":1}},{"metadata":{"name":"b"}}]}`},
		{"items with a kind", 200, `{"kind":"WidgetList","apiVersion":"example.io/v1","metadata":{"resourceVersion":"7"},"items":[{"kind":"Widget","apiVersion":"example.io/v1","metadata":{"name":"a"}}]}`},
		{"no items", 200, `{"kind":"WidgetList","apiVersion":"example.io/v1","metadata":{"resourceVersion":"7"},"items":[]}`},
		{"null for items", 200, `{"kind":"WidgetList","apiVersion":"example.io/v1","metadata":{},"items":null}`},
		{"forbidden", 403, fmt.Sprintf(failure, "Forbidden", 403)},
		{"expired", 410, fmt.Sprintf(failure, "Expired", 410)},
		{"not found, in text", 404, "404 page not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs := clients(t, test.code, test.answer)
			want, wantErr := theirs.Resource(widgets).List(t.Context(), metav1.ListOptions{})
			got, err := ours.Resource(widgets).List(t.Context(), metav1.ListOptions{})
			if apierrors.ReasonForError(err) != apierrors.ReasonForError(wantErr) || (err == nil) != (wantErr == nil) {
				t.Fatalf("error: got %v, client-go has %v", err, wantErr)
			}
			if restToken(err) != restToken(wantErr) {
				t.Errorf("token for the rest: got %q, client-go has %q", restToken(err), restToken(wantErr))
			}
			if diff := cmp.Diff(want, got, cmp.Transformer("items", func(l unstructured.UnstructuredList) any {
				return []any{l.Object, append([]unstructured.Unstructured{}, l.Items...)}
			})); diff != "" {
				t.Errorf("list (-client-go +ours):\n%s", diff)
			}
		})
	}
}
