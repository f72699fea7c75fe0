package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	serviceName = "kollect-apiserver.kollect-system.svc"
	apiService  = "v1alpha1.inventory.kollect.io"
)

// cluster is a fake host with an APIService, and a clock.
type cluster struct {
	client  *fake.Clientset
	dynamic dynamic.Interface
	now     time.Time
}

func newCluster(withAPIService bool) *cluster {
	var objects []runtime.Object
	if withAPIService {
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
			"metadata": map[string]any{"name": apiService}, "spec": map[string]any{},
		}})
	}
	return &cluster{
		client:  fake.NewClientset(),
		dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), objects...),
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (c *cluster) keeper() *Keeper {
	return NewKeeper(Config{
		Client: c.client, Dynamic: c.dynamic, APIService: apiService,
		Secret: types.NamespacedName{Namespace: "kollect-system", Name: "certs"},
		Names:  []string{serviceName}, Now: func() time.Time { return c.now },
	})
}

func (c *cluster) caBundle(t *testing.T) []byte {
	t.Helper()
	service, err := c.dynamic.Resource(apiServices).Get(t.Context(), apiService, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return caBundle(service)
}

// verify checks what the aggregator checks: the certificate, for the service's
// name, against the caBundle.
func (c *cluster) verify(t *testing.T, k *Keeper) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(k.CurrentCertKeyContent())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.caBundle(t)) {
		t.Fatal("the APIService has no caBundle")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: serviceName, CurrentTime: c.now}); err != nil {
		t.Fatalf("at %s the aggregator refuses the certificate: %v", c.now, err)
	}
	return pair.Leaf
}

func run(t *testing.T, k *Keeper) {
	t.Helper()
	if err := k.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReplicasShareTheCertificate(t *testing.T) {
	c := newCluster(true)
	first, second := c.keeper(), c.keeper()
	run(t, first)
	run(t, second)
	if a, b := c.verify(t, first), c.verify(t, second); !a.Equal(b) {
		t.Error("two replicas serve with different certificates")
	}
}

type listener struct{ told int }

func (l *listener) Enqueue() { l.told++ }

// The aggregator must accept what each replica serves at any time of ten years,
// whichever replica looks first.
func TestRotationIsNeverRefused(t *testing.T) {
	c := newCluster(true)
	replicas := []*Keeper{c.keeper(), c.keeper()}
	var heard listener
	replicas[0].AddListener(&heard)
	for _, k := range replicas {
		run(t, k)
	}
	serials := map[string]bool{}
	authorities := map[string]bool{}
	const weeks = 520
	for step := range weeks {
		c.now = c.now.Add(7 * 24 * time.Hour)
		for i := range replicas {
			run(t, replicas[(step+i)%2])
			for _, k := range replicas {
				leaf := c.verify(t, k)
				serials[leaf.SerialNumber.String()] = true
				authorities[leaf.Issuer.CommonName] = true
			}
		}
	}
	if n := len(serials); n < weeks*7/90 {
		t.Errorf("only %d certificates were used in ten years", n)
	}
	if n := len(authorities); n < 3 {
		t.Errorf("only %d authorities signed in ten years", n)
	}
	if heard.told < len(serials)-1 {
		t.Errorf("the server was told of %d changes of %d", heard.told, len(serials))
	}
}

func TestAnAPIServiceThatComesLaterIsTrusted(t *testing.T) {
	c := newCluster(false)
	k := c.keeper()
	run(t, k)
	_, err := c.dynamic.Resource(apiServices).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": apiService},
		"spec": map[string]any{"insecureSkipTLSVerify": true, "caBundle": base64.StdEncoding.EncodeToString([]byte("other"))},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, k)
	c.verify(t, k)
	service, err := c.dynamic.Resource(apiServices).Get(t.Context(), apiService, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if skip, _, _ := unstructured.NestedBool(service.Object, "spec", "insecureSkipTLSVerify"); skip {
		t.Error("the APIService still skips verification")
	}
}

// Who deletes the Secret, as is advised, has it made anew by one replica while
// the others serve by the old one for another minute.
func TestADeletedSecretIsNeverRefused(t *testing.T) {
	c := newCluster(true)
	replicas := []*Keeper{c.keeper(), c.keeper()}
	for round := range 3 {
		for _, k := range replicas {
			run(t, k)
		}
		if err := c.client.CoreV1().Secrets("kollect-system").Delete(t.Context(), "certs", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		before := c.verify(t, replicas[1])
		run(t, replicas[round%2])
		for _, k := range replicas {
			c.verify(t, k)
		}
		run(t, replicas[(round+1)%2])
		if after := c.verify(t, replicas[1]); after.Equal(before) {
			t.Error("the certificate was not made anew")
		}
	}
}

func TestACertificateIsNotUsedBeforeItIsTrusted(t *testing.T) {
	c := newCluster(true)
	k := c.keeper()
	run(t, k)
	before, _ := k.CurrentCertKeyContent()
	if err := c.client.CoreV1().Secrets("kollect-system").Delete(t.Context(), "certs", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	down := errors.New("connection refused")
	refusing := true
	c.dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("patch", "apiservices", func(clienttesting.Action) (bool, runtime.Object, error) {
		return refusing, nil, down
	})
	if err := k.RunOnce(t.Context()); !errors.Is(err, down) {
		t.Errorf("RunOnce says %v", err)
	}
	if after, _ := k.CurrentCertKeyContent(); !bytes.Equal(before, after) {
		t.Error("a certificate is used that nobody trusts")
	}
	refusing = false
	run(t, k)
	if after, _ := k.CurrentCertKeyContent(); bytes.Equal(before, after) {
		t.Error("the new certificate is not used once it is trusted")
	}
	c.verify(t, k)
}

func TestWhatIsNoCertificateIsNotTakenOver(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var trusted []byte
	for _, made := range []time.Time{now, now.Add(-2 * authorityLifetime)} {
		authority, err := newAuthority(made)
		if err != nil {
			t.Fatal(err)
		}
		trusted = append(trusted, authority.certificatePEM()...)
	}
	trusted = append(trusted, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nother"...)
	b, err := newBundle([]string{serviceName}, trusted, now)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := parseBundle(b.authorities())
	if err != nil || len(kept) != 2 {
		t.Errorf("%d authorities, %v; want the new one and the one that is valid", len(kept), err)
	}
}

func TestAForeignSecretIsNotReplaced(t *testing.T) {
	c := newCluster(true)
	k := c.keeper()
	run(t, k)
	before, _ := k.CurrentCertKeyContent()
	secrets := c.client.CoreV1().Secrets("kollect-system")
	secret, err := secrets.Get(t.Context(), "certs", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data["tls.key"] = []byte("not a key, but secret")
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = k.RunOnce(t.Context())
	if err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Fatalf("error %v does not say what to do", err)
	}
	if strings.Contains(err.Error(), "but secret") {
		t.Errorf("error %v shows the key", err)
	}
	if after, _ := k.CurrentCertKeyContent(); !bytes.Equal(before, after) {
		t.Error("the certificate in use changed")
	}
	kept, err := secrets.Get(t.Context(), "certs", metav1.GetOptions{})
	if err != nil || string(kept.Data["tls.key"]) != "not a key, but secret" {
		t.Errorf("the Secret was changed: %v", err)
	}
}

// Another replica may create or update the Secret between our read and write.
func TestALostRaceUsesTheWinner(t *testing.T) {
	c := newCluster(true)
	elsewhere := newCluster(true)
	winner := elsewhere.keeper()
	run(t, winner)
	secret, err := elsewhere.client.CoreV1().Secrets("kollect-system").Get(t.Context(), "certs", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	loser := c.keeper()
	c.client.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return false, nil, c.client.Tracker().Add(secret)
	})
	run(t, loser)
	used, _ := loser.CurrentCertKeyContent()
	if want, _ := winner.CurrentCertKeyContent(); !bytes.Equal(used, want) {
		t.Error("the loser of the race serves with a certificate of its own")
	}
	c.verify(t, loser)
}

func TestAnUnreachableHostKeepsTheCertificate(t *testing.T) {
	c := newCluster(true)
	k := c.keeper()
	run(t, k)
	before, _ := k.CurrentCertKeyContent()
	down := errors.New("connection refused")
	c.client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, down })
	if err := k.RunOnce(t.Context()); !errors.Is(err, down) {
		t.Errorf("RunOnce says %v", err)
	}
	if after, _ := k.CurrentCertKeyContent(); !bytes.Equal(before, after) {
		t.Error("the certificate in use changed")
	}
}
