package httpsink

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// The headers of requests, and of answers that say what is held. Names are escaped as
// in a path.
const (
	headerCluster     = "Kollect-Cluster"
	headerNamespace   = "Kollect-Namespace"
	headerInventory   = "Kollect-Inventory"
	headerGeneration  = "Kollect-Generation"
	headerBase        = "Kollect-Base-Generation"
	headerContentHash = "Kollect-Content-Hash"
	headerSchema      = "Kollect-Schema"
	headerRows        = "Kollect-Rows"
	headerTime        = "Kollect-Time"
	headerForgotten   = "Kollect-Forgotten"

	headerIdempotencyKey = "Idempotency-Key"
	headerContentDigest  = "Content-Digest"
)

// clusterNamespace stands for the namespace of a cluster inventory: no namespace can
// be called so.
const clusterNamespace = "_cluster"

// timeLayout has one width, so that times can be compared as texts.
const timeLayout = "2006-01-02T15:04:05.000Z"

// inMillis is the precision of times in headers.
func inMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// names returns the escaped names of an inventory: cluster, namespace and inventory.
func names(of *inventory.Inventory) ([3]string, error) {
	escaped := [3]string{of.Cluster, of.Namespace, of.Name}
	if of.Namespace == "" {
		escaped[1] = clusterNamespace
	}
	for i, name := range escaped {
		if name == "" || name == "." || name == ".." {
			return escaped, sink.Permanent(fmt.Errorf("name the export: %s %q is not valid in a path", [3]string{"cluster", "namespace", "inventory"}[i], name))
		}
		escaped[i] = url.PathEscape(name)
	}
	return escaped, nil
}

// setNames says which inventory a request is about.
func setNames(h http.Header, names [3]string) {
	h.Set(headerCluster, names[0])
	h.Set(headerNamespace, names[1])
	h.Set(headerInventory, names[2])
}

// setMark says what is to be held.
func setMark(h http.Header, m sink.Mark) {
	h.Set(headerGeneration, strconv.FormatInt(m.Generation, 10))
	h.Set(headerTime, inMillis(m.Time).Format(timeLayout))
	if m.Forgotten {
		h.Set(headerForgotten, "true")
		return
	}
	for header, value := range map[string]string{headerContentHash: m.Hash, headerSchema: m.Schema} {
		if value != "" { // what is empty is lost at some proxies
			h.Set(header, value)
		}
	}
	h.Set(headerRows, strconv.FormatInt(m.Rows, 10))
}

// parseMark reads what is held from the headers of an answer; the generation 0 is
// nothing. ok is false if the receiver does not tell.
func parseMark(h http.Header, names [3]string) (m sink.Mark, ok bool, err error) {
	if h.Get(headerGeneration) == "" {
		return sink.Mark{}, false, nil
	}
	if m.Generation, err = strconv.ParseInt(h.Get(headerGeneration), 10, 64); err != nil || m.Generation < 0 || m.Generation > sink.MaxGeneration {
		return sink.Mark{}, true, fmt.Errorf("%s must be from 0 to %d", headerGeneration, sink.MaxGeneration)
	}
	if m.Generation == 0 {
		return sink.Mark{}, true, nil
	}
	// Who keeps what came last, of whichever inventory, would lose all others.
	for i, header := range []string{headerCluster, headerNamespace, headerInventory} {
		if held := h.Get(header); held != "" && held != names[i] {
			return sink.Mark{}, true, fmt.Errorf("%s is that of another inventory: have the receiver keep inventories apart by these headers, or by {cluster}, {namespace} and {inventory} in the path of spec.http.url", header)
		}
	}
	if m.Time, err = time.Parse(time.RFC3339, h.Get(headerTime)); err != nil {
		return sink.Mark{}, true, errors.New(headerTime + " must be a time of RFC 3339")
	}
	m.Time = inMillis(m.Time)
	if h.Get(headerForgotten) == "true" {
		m.Forgotten = true
		return m, true, nil
	}
	if m.Rows, err = strconv.ParseInt(h.Get(headerRows), 10, 64); err != nil || m.Rows < 0 {
		return sink.Mark{}, true, errors.New(headerRows + " must be a number of rows")
	}
	m.Hash, m.Schema = h.Get(headerContentHash), h.Get(headerSchema)
	if m.Hash == "" || m.Schema == "" {
		return sink.Mark{}, true, fmt.Errorf("%s and %s must be what came with the snapshot", headerContentHash, headerSchema)
	}
	return m, true, nil
}
