package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody bounds a snapshot as it is sent, compressed.
const maxBody = 256 << 20

// snapshot is what came with a request: the headers say of what.
type snapshot struct {
	header http.Header
	body   []byte
}

func (s *snapshot) generation() int64 {
	n, _ := strconv.ParseInt(s.header.Get("Kollect-Generation"), 10, 64)
	return n
}

func (s *snapshot) forgotten() bool { return s.header.Get("Kollect-Forgotten") == "true" }

func (s *snapshot) same(other *snapshot, headers ...string) bool {
	return !slices.ContainsFunc(headers, func(header string) bool { return s.header.Get(header) != other.header.Get(header) })
}

// show answers with what is held: what came with it, but for credentials.
func (s *snapshot) show(w http.ResponseWriter) {
	for header, values := range s.header {
		if strings.HasPrefix(header, "Kollect-") || slices.Contains([]string{"Content-Type", "Content-Encoding", "Content-Digest"}, header) {
			w.Header()[header] = values
		}
	}
	w.Write(s.body)
}

func (s *snapshot) refuse(w http.ResponseWriter) {
	http.Error(w, fmt.Sprintf("generation %d is held", s.generation()), http.StatusConflict)
}

// receiver keeps the newest snapshot of each inventory.
type receiver struct {
	key  []byte
	now  func() time.Time
	mu   sync.Mutex
	held map[string]*snapshot
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if !signed(r.key, q, r.now()) {
		http.Error(w, "the signature or its time is wrong", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil || q.Header.Get("Content-Digest") != digest(body) {
		http.Error(w, "the body is not that of Content-Digest", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.Join([]string{q.Header.Get("Kollect-Cluster"), q.Header.Get("Kollect-Namespace"), q.Header.Get("Kollect-Inventory")}, "/")
	next, held := &snapshot{q.Header, body}, r.held[name]
	if held == nil {
		held = &snapshot{header: http.Header{"Kollect-Generation": {"0"}}}
	}
	switch q.Method {
	case http.MethodGet, http.MethodHead:
		if q.Header.Get("Kollect-Inventory") == "" {
			r.list(w, q.Header.Get("Kollect-Cluster"))
			return
		}
		held.show(w)
	case http.MethodPatch:
		if !held.same(next, "Kollect-Generation", "Kollect-Content-Hash", "Kollect-Schema") {
			held.refuse(w)
			return
		}
		held.header.Set("Kollect-Time", max(held.header.Get("Kollect-Time"), q.Header.Get("Kollect-Time")))
	default: // PUT, POST; and DELETE, which has no body, and headers that say so
		base := q.Header.Get("Kollect-Base-Generation")
		switch {
		case next.generation() > held.generation() && (base == "" || base == held.header.Get("Kollect-Generation")):
			r.held[name] = next
		case held.same(next, "Idempotency-Key", "Content-Digest"), held.forgotten() && next.forgotten(): // once more
		default:
			held.refuse(w)
		}
	}
}

// list answers which inventories of a cluster are held.
func (r *receiver) list(w http.ResponseWriter, cluster string) {
	list := []map[string]string{}
	for name, held := range r.held {
		part := strings.Split(name, "/")
		if part[0] == cluster && !held.forgotten() {
			list = append(list, map[string]string{"namespace": strings.TrimPrefix(part[1], "_cluster"), "name": part[2]})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(list)
}

// signed reports whether who sent the request has the key (RFC 9421, hmac-sha256), and
// sent it now, with these headers and a body of this digest.
func signed(key []byte, q *http.Request, now time.Time) bool {
	params := strings.TrimPrefix(q.Header.Get("Signature-Input"), "kollect=")
	list, rest, _ := strings.Cut(strings.TrimPrefix(params, "("), ")")
	components := strings.Fields(list)
	mac := hmac.New(sha256.New, key)
	for _, component := range components {
		value := q.Header.Get(strings.Trim(component, `"`))
		switch component {
		case `"@method"`:
			value = q.Method
		case `"@path"`:
			value = q.URL.EscapedPath()
		case `"@query"`:
			value = "?" + q.URL.RawQuery
		}
		fmt.Fprintf(mac, "%s: %s\n", component, value)
	}
	fmt.Fprintf(mac, "\"@signature-params\": %s", params)
	needs := []string{"@method", "@path", "@query", "content-digest"}
	for header := range q.Header {
		if strings.HasPrefix(header, "Kollect-") || header == "Idempotency-Key" {
			needs = append(needs, strings.ToLower(header))
		}
	}
	for _, component := range needs { // nothing that is read above may be left out
		if !slices.Contains(components, strconv.Quote(component)) {
			return false
		}
	}
	signature := "kollect=:" + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + ":"
	created, err := strconv.ParseInt(strings.TrimPrefix(strings.Split(rest+";", ";")[1], "created="), 10, 64)
	return err == nil && now.Sub(time.Unix(created, 0)).Abs() < 5*time.Minute && hmac.Equal([]byte(signature), []byte(q.Header.Get("Signature")))
}

// digest returns the Content-Digest (RFC 9530) of a body.
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
