package apiserver

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

const (
	// builtRows is how many rows may at any time be in answers that have to be
	// built as a whole before they are sent. A longer one is built alone.
	builtRows = 200_000
	// builtWait is how long such an answer waits for its turn, like a request that
	// priority and fairness queues.
	builtWait = 15 * time.Second
)

// builtAnswers bounds the memory of answers that the API server builds as a
// whole: metadata alone, YAML, indented JSON, diffs, and tables but for those
// that are streamed, whose requests look like those for JSON. All others are
// streamed in little memory, and pass.
type builtAnswers struct {
	handler http.Handler
	store   *inventory.Store
	errors  runtime.NegotiatedSerializer
	rows    *semaphore.Weighted
	limit   int64
	wait    time.Duration
}

func withBuiltAnswers(handler http.Handler, store *inventory.Store, errors runtime.NegotiatedSerializer) *builtAnswers {
	return &builtAnswers{
		handler: handler, store: store, errors: errors,
		rows: semaphore.NewWeighted(builtRows), limit: builtRows, wait: builtWait,
	}
}

// ServeHTTP answers the request in its turn, or has the client come again.
func (b *builtAnswers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rows := min(b.limit, b.built(r))
	if rows == 0 {
		b.handler.ServeHTTP(w, r)
		return
	}
	waiting, cancel := context.WithTimeout(r.Context(), b.wait)
	err := b.rows.Acquire(waiting, rows)
	cancel()
	if err != nil {
		const retrySeconds = 1
		busy := errors.NewTooManyRequests("too many long answers are being built: ask for pages (limit), or for JSON, which is streamed", retrySeconds)
		responsewriters.ErrorNegotiated(busy, b.errors, inventoryv1alpha1.SchemeGroupVersion, w, r)
		return
	}
	defer b.rows.Release(rows)
	b.handler.ServeHTTP(w, r)
}

// built returns how many rows at most an answer has that is built as a whole; 0
// if it is streamed.
func (b *builtAnswers) built(r *http.Request) int64 {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || !info.IsResourceRequest || info.APIGroup != inventoryv1alpha1.GroupName {
		return 0
	}
	state := b.store.State()
	switch {
	case info.Verb == "get" && info.Subresource == "diff":
		if s := state.Snapshot(inventory.Ref{Namespace: info.Namespace, Name: info.Name}); s != nil {
			return int64(s.Len())
		}
	case info.Verb == "list" && info.Subresource == "" && !streams(r):
		rows := listedRows(state, info)
		if limit, err := strconv.ParseInt(r.URL.Query().Get("limit"), 10, 64); err == nil && limit > 0 {
			rows = min(rows, limit)
		}
		return rows
	}
	return 0
}

// streams reports whether a list is written as it is made: as JSON without
// indentation, which the API server has for browsers and the like unless they say
// otherwise.
func streams(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	if strings.Contains(accept, "as=") || strings.Contains(accept, "yaml") {
		return false
	}
	if pretty := r.URL.Query().Get("pretty"); pretty != "" {
		return pretty == "false" || pretty == "0"
	}
	agent := r.UserAgent()
	return !strings.HasPrefix(agent, "curl") && !strings.HasPrefix(agent, "Wget") && !strings.HasPrefix(agent, "Mozilla/5.0")
}
