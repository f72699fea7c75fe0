package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"kollect.io/kollect/pkg/inventory"
	inventoryregistry "kollect.io/kollect/pkg/registry/inventory"
)

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// newBuilt returns a bound of 100 rows around a handler, which answers once it
// may.
func newBuilt(t *testing.T, store *inventory.Store, handler http.HandlerFunc) *builtAnswers {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	b := withBuiltAnswers(handler, store, serializer.NewCodecFactory(scheme))
	b.limit = 100
	b.rows.TryAcquire(builtRows - b.limit)
	return b
}

func askFor(t *testing.T, ctx context.Context, path, accept string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, "GET", "/apis/inventory.kollect.io/v1alpha1/"+path, nil)
	r.Header.Set("Accept", accept)
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("apis"), GrouplessAPIPrefixes: sets.NewString()}
	info, err := resolver.NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(request.WithRequestInfo(ctx, info))
}

func TestBuiltAnswersAreCounted(t *testing.T) {
	store := inventory.NewStore(inventory.Options{Epoch: 1})
	addRows(store, inventory.Ref{Namespace: "a", Name: "apps"}, 60)
	addRows(store, inventory.Ref{Namespace: "b", Name: "apps"}, 7)
	addRows(store, inventory.Ref{Name: "platform"}, 500)
	b := newBuilt(t, store, nil)
	for _, test := range []struct {
		path, accept string
		want         int64
	}{
		{"inventoryrows", "application/json", 0},
		{"inventoryrows", "", 0},
		{"inventoryrows", asTable, 67},
		{"inventoryrows", "application/yaml", 67},
		{"inventoryrows", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", 67},
		{"inventoryrows?pretty=true", "application/json", 67},
		{"inventoryrows?pretty=false", "application/json", 0},
		{"inventoryrows?limit=5", asTable, 5},
		{"inventoryrows?limit=x", asTable, 67},
		{"inventoryrows?watch=1", asTable, 0},
		{"namespaces/b/inventoryrows", asTable, 7},
		{"namespaces/b/inventoryrows/x", asTable, 0},
		{"clusterinventoryrows", asTable, 500},
		{"accessiblerows", asTable, 567},
		{"namespaces/b/accessiblerows", asTable, 567},
		{"inventories", asTable, 0},
		{"namespaces/a/inventories/apps/diff?from=1", "application/json", 60},
		{"namespaces/a/inventories/apps/snapshot", "application/json", 0},
	} {
		if got := b.built(askFor(t, t.Context(), test.path, test.accept)); got != test.want {
			t.Errorf("%s as %s: got %d rows, want %d", test.path, test.accept, got, test.want)
		}
	}
	browser := askFor(t, t.Context(), "inventoryrows", "*/*")
	browser.Header.Set("User-Agent", "Mozilla/5.0 (X11)")
	if got := b.built(browser); got != 67 {
		t.Errorf("browser: got %d rows", got)
	}
}

func TestBuiltAnswersWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := inventory.NewStore(inventory.Options{Epoch: 1})
		addRows(store, inventory.Ref{Name: "platform"}, 500)
		finish := make(chan struct{})
		b := newBuilt(t, store, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept"), "as=") {
				<-finish
			}
		})
		answers := make(chan *httptest.ResponseRecorder, 4)
		ask := func(ctx context.Context, path, accept string) {
			go func() {
				w := httptest.NewRecorder()
				b.ServeHTTP(w, askFor(t, ctx, path, accept))
				answers <- w
			}()
			synctest.Wait()
		}
		ask(t.Context(), "clusterinventoryrows", asTable) // longer than the bound
		ask(t.Context(), "clusterinventoryrows", "application/json")
		if len(answers) != 1 || (<-answers).Code != http.StatusOK {
			t.Error("a streamed list waited, or one that is longer than the bound did not")
		}
		began := time.Now()
		ask(t.Context(), "clusterinventoryrows?limit=5", asTable)
		w := <-answers
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || time.Since(began) != builtWait || !strings.Contains(w.Body.String(), "ask for pages") {
			t.Errorf("got %d %v %s after %v", w.Code, w.Header(), w.Body, time.Since(began))
		}
		gone, leave := context.WithCancel(t.Context())
		ask(gone, "clusterinventoryrows?limit=5", asTable)
		leave()
		<-answers
		if time.Since(began) != builtWait {
			t.Error("the server waited for a turn of a client that has gone")
		}
		ask(t.Context(), "clusterinventoryrows?limit=5", asTable)
		finish <- struct{}{}
		finish <- struct{}{}
		for range 2 {
			if w := <-answers; w.Code != http.StatusOK {
				t.Errorf("got %d", w.Code)
			}
		}
	})
}

func TestTablesAreStreamed(t *testing.T) {
	store := inventory.NewStore(inventory.Options{Epoch: 1})
	addRows(store, inventory.Ref{Name: "platform"}, 500)
	asked := 0
	b := newBuilt(t, store, func(http.ResponseWriter, *http.Request) { asked++ })
	b.rows.TryAcquire(b.limit) // nothing more may be built
	b.wait = time.Nanosecond
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	h := inventoryregistry.WithTables(b, inventoryregistry.NewSerializer(scheme))
	for accept, want := range map[string]int{
		asTable: http.StatusOK,
		"application/yaml;as=Table;v=v1;g=meta.k8s.io": http.StatusTooManyRequests,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, askFor(t, t.Context(), "clusterinventoryrows", accept))
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", accept, w.Code, w.Body, want)
		}
	}
	if asked != 1 {
		t.Errorf("%d requests were answered", asked)
	}
}
