package integration

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kollect.io/kollect/test/controlplane"
)

// With the rights that artifacts/ give it, the server makes its certificate and
// has the aggregator trust it; a Secret that is lost is made anew, and used,
// without a restart.
func TestTheServerKeepsItsOwnCertificate(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cp := controlplane.ForTest(t, controlplane.Options{})
	binary, err := controlplane.KollectBinary(ctx, os.Stderr, true)
	if err != nil {
		t.Fatal(err)
	}
	k, err := cp.StartKollect(ctx, controlplane.KollectOptions{Binary: binary, OwnCertificate: true})
	if err != nil {
		t.Fatal(err)
	}
	// It registers with an authority that did not sign the certificate.
	if err := k.Register(ctx); err != nil {
		t.Fatalf("the aggregator does not trust the server: %v", err)
	}
	client, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	secrets := client.CoreV1().Secrets(controlplane.Namespace)
	first, err := secrets.Get(ctx, controlplane.CertSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(ctx, controlplane.CertSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		second, err := secrets.Get(ctx, controlplane.CertSecret, metav1.GetOptions{})
		if err == nil && !bytes.Equal(first.Data["tls.crt"], second.Data["tls.crt"]) {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the Secret was not made anew: %v", err)
		case <-tick.C:
		}
	}
	for {
		err := client.Discovery().RESTClient().Get().
			AbsPath("/apis", controlplane.KollectGroup, controlplane.KollectVersion).Do(ctx).Error()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the aggregator does not trust the new certificate: %v", err)
		case <-tick.C:
		}
	}
}
