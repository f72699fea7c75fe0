package httpsink

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// maxListBytes bounds a list of inventories.
const maxListBytes = 8 << 20

// Inventories asks the receiver for a list, at the URL up to the first segment with a
// placeholder. One that answers with no JSON has none.
func (s *Store) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	u, err := s.address.shared()
	if err != nil {
		return nil, sink.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r := s.requestTo(ctx, http.MethodGet, u)
	r.Header.Set(headerCluster, url.PathEscape(cluster))
	r.Header.Set("Accept", "application/json")
	a, err := s.do(r, maxListBytes)
	if err != nil {
		return nil, err
	}
	if media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); absent(a) || a.status == http.StatusNotAcceptable || a.ok() && media != "application/json" {
		return nil, nil
	}
	if !a.ok() {
		return nil, s.refusal("list inventories", a)
	}
	if a.long {
		return nil, fmt.Errorf("list inventories: the answer has more than %d bytes", maxListBytes)
	}
	var list []struct{ Namespace, Name string }
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, sink.Permanent(fmt.Errorf(`list inventories: the answer to GET must be a list such as [{"namespace": "team-a", "name": "apps"}], or 404`))
	}
	var refs []inventory.Ref
	for _, held := range list {
		if held.Name != "" {
			refs = append(refs, inventory.Ref{Namespace: held.Namespace, Name: held.Name})
		}
	}
	return refs, nil
}
