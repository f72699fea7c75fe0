package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/test/controlplane"
)

// side is one of two servers that have the same rows, and the list of them. It
// is asked directly, never through the aggregator.
type side struct {
	client  *http.Client
	config  *rest.Config
	list    string // URL
	process string
}

// sides has the server collect the seeded objects, their five attributes being
// promoted, gives kube-apiserver as many custom resources of the same content,
// and returns the two. They do not compress what they send.
func (e *environment) sides(b *testing.B) (ours, theirs *side) {
	b.Helper()
	attributes := benchAttributes()
	for i := range attributes {
		attributes[i].Promoted = true
	}
	e.collectAttributes(b, attributes)
	b.Cleanup(func() { e.release(b) })
	e.seedTwins(b)
	ours = newSide(b, e.server.Config(), "/apis/inventory.kollect.io/v1alpha1/clusterinventoryrows", controlplane.Service)
	theirs = newSide(b, e.controlPlane.Config(), "/apis/bench.kollect.io/v1/benchrows", "kube-apiserver")
	return ours, theirs
}

func newSide(b *testing.B, config *rest.Config, path, process string) *side {
	b.Helper()
	s := &side{config: config, list: config.Host + path, process: process}
	s.client = s.connect(b)
	return s
}

// connect returns a client with a connection of its own, over HTTP/2, which ends
// with the benchmark.
func (s *side) connect(b *testing.B) *http.Client {
	b.Helper()
	tls, err := rest.TLSConfigFor(s.config)
	must(b, err)
	transport := &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

const (
	asJSON  = "application/json"
	asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
)

// fromCache asks for a whole list that a watch cache may answer.
const fromCache = "?resourceVersion=0&pretty=false"

// read reads an answer into w, and returns how long that took.
func (s *side) read(b *testing.B, query, accept string, w io.Writer) time.Duration {
	b.Helper()
	took, err := read(b.Context(), s.client, s.list+query, accept, w)
	must(b, err)
	return took
}

func read(ctx context.Context, client *http.Client, url, accept string, w io.Writer) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", accept)
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(w, response.Body)
	took := time.Since(began)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return took, err
}

// body returns an answer, which must have so many of a member that each row has.
func (s *side) body(b *testing.B, query, accept, member string, rows int) []byte {
	b.Helper()
	var body bytes.Buffer
	s.read(b, query, accept, &body)
	if n := bytes.Count(body.Bytes(), []byte(member)); n != rows {
		b.Fatalf("%s%s has %d of %d rows", s.list, query, n, rows)
	}
	return body.Bytes()
}

// listMeta returns the metadata of a list's JSON.
func listMeta(b *testing.B, body []byte) metav1.ListMeta {
	b.Helper()
	var list struct{ Metadata metav1.ListMeta }
	must(b, json.Unmarshal(body, &list))
	return list.Metadata
}

// seedTwins has kube-apiserver serve the custom resources, unless it does.
func (e *environment) seedTwins(b *testing.B) {
	b.Helper()
	if e.twins {
		return
	}
	fmt.Fprintf(os.Stderr, "seed: writing %d custom resources to etcd\n", e.objects)
	must(b, seed(b.Context(), e.controlPlane.EtcdEndpoint(), e.objects, os.Stderr, func(i int, put func(string, []byte) error) error {
		key, value, err := storedTwin(configMap(i))
		if err != nil {
			return err
		}
		return put(key, value)
	}))
	must(b, controlplane.ApplyCRDs(b.Context(), e.controlPlane.Config(), "testdata"))
	theirs := newSide(b, e.controlPlane.Config(), "/apis/bench.kollect.io/v1/benchrows", "")
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_, err := read(b.Context(), theirs.client, theirs.list+fromCache, asJSON, io.Discard)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
		pause(b.Context(), 100*time.Millisecond)
	}
	e.twins = true
}

// storedTwin returns how etcd has the custom resource with the content of a
// ConfigMap's row. It has no managed fields, as rows have none.
func storedTwin(cm *corev1.ConfigMap) (key string, value []byte, err error) {
	digest := sha256.Sum256([]byte(cm.Name))
	name := benchName + "." + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(digest[:16])
	name = string(bytes.ToLower([]byte(name)))
	twin := inventoryv1alpha1.ClusterInventoryRow{
		TypeMeta: metav1.TypeMeta{APIVersion: "bench.kollect.io/v1", Kind: "BenchRow"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: uid(name), CreationTimestamp: cm.CreationTimestamp, Labels: cm.Labels,
		},
		RowContent: inventoryv1alpha1.RowContent{
			Inventory: benchName, Cluster: "development", Target: inventoryv1alpha1.TargetReference{Name: benchName},
			Source: inventoryv1alpha1.Source{
				Version: "v1", Resource: "configmaps", Kind: "ConfigMap",
				Namespace: cm.Namespace, Name: cm.Name, UID: string(cm.UID), CreationTimestamp: &cm.CreationTimestamp,
			},
			Attributes: map[string]inventoryv1alpha1.Value{},
		},
	}
	for name, text := range cm.Data {
		raw, err := json.Marshal(text)
		if err != nil {
			return "", nil, err
		}
		twin.Attributes[name] = inventoryv1alpha1.Value{Raw: raw}
	}
	value, err = json.Marshal(twin)
	return "/registry/bench.kollect.io/benchrows/" + name, value, err
}
