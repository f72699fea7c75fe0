package certificate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// checkInterval is how soon a replica uses what another one rotated.
const checkInterval = time.Minute

// Config says what to keep.
type Config struct {
	// Client and Dynamic reach the host API server.
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	// Secret holds the certificates; it is made when absent.
	Secret types.NamespacedName
	// APIService is the name of the APIService whose caBundle is kept right;
	// one that does not exist yet is looked for again.
	APIService string
	// Names are the DNS names to serve, the first as common name.
	Names []string
	// Now is the clock.
	Now func() time.Time
}

// Keeper provides the serving certificate to the server, and keeps the Secret
// and the APIService. It is safe for concurrent use.
type Keeper struct {
	config Config

	mu        sync.RWMutex // guards what follows
	cert, key []byte
	listeners []dynamiccertificates.Listener
}

var (
	_ dynamiccertificates.CertKeyContentProvider = &Keeper{}
	_ dynamiccertificates.ControllerRunner       = &Keeper{}
)

// NewKeeper returns a keeper that has no certificate until RunOnce succeeds.
func NewKeeper(config Config) *Keeper { return &Keeper{config: config} }

// Name identifies the provider in logs.
func (k *Keeper) Name() string { return "secret " + k.config.Secret.String() }

// CurrentCertKeyContent returns the PEM of the certificate and its key.
func (k *Keeper) CurrentCertKeyContent() (cert, key []byte) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.cert, k.key
}

// AddListener has the listener told of every change.
func (k *Keeper) AddListener(listener dynamiccertificates.Listener) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, listener)
}

// Run checks every minute until ctx ends.
func (k *Keeper) Run(ctx context.Context, _ int) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := k.RunOnce(ctx); err != nil {
				klog.FromContext(ctx).Error(err, "Checked the serving certificate", "secret", k.config.Secret)
			}
		}
	}
}

// RunOnce makes, rotates or reads the certificates and mends the APIService. A
// certificate is used only once the APIService, if there is one, trusts it.
func (k *Keeper) RunOnce(ctx context.Context) error {
	trusted, err := k.trusted(ctx)
	if err != nil {
		return err
	}
	b, err := k.ensure(ctx, trusted)
	if err != nil {
		return err
	}
	if err := k.trust(ctx, trusted, b.authorities()); err != nil {
		return err
	}
	return k.use(b)
}

// ensure returns what the Secret holds after it was made or rotated if due.
// When another replica was quicker, its content stands.
func (k *Keeper) ensure(ctx context.Context, trusted []byte) (*bundle, error) {
	secrets := k.config.Client.CoreV1().Secrets(k.config.Secret.Namespace)
	for range 5 {
		secret, err := secrets.Get(ctx, k.config.Secret.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			b, err := newBundle(k.config.Names, trusted, k.config.Now())
			if err != nil {
				return nil, err
			}
			data, err := b.data()
			if err != nil {
				return nil, err
			}
			_, err = secrets.Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: k.config.Secret.Namespace, Name: k.config.Secret.Name},
				Type:       corev1.SecretTypeTLS,
				Data:       data,
			}, metav1.CreateOptions{})
			if err == nil {
				return b, nil
			}
			if !apierrors.IsAlreadyExists(err) {
				return nil, fmt.Errorf("create secret %s: %w", k.config.Secret, err)
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("get secret %s: %w", k.config.Secret, err)
		}
		b, err := readBundle(secret.Data)
		if err != nil {
			return nil, fmt.Errorf("secret %s holds no certificates that this server made (%w); delete it, and it is made anew", k.config.Secret, err)
		}
		next, changed, err := b.rotated(k.config.Names, trusted, k.config.Now())
		if err != nil || !changed {
			return b, err
		}
		if secret.Data, err = next.data(); err != nil {
			return nil, err
		}
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		if err == nil {
			klog.FromContext(ctx).Info("Rotated the serving certificate", "secret", k.config.Secret, "notAfter", next.serving.certificate.NotAfter)
			return next, nil
		}
		if !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("update secret %s: %w", k.config.Secret, err)
		}
	}
	return nil, fmt.Errorf("update secret %s: it changes all the time", k.config.Secret)
}

// use serves with the bundle's certificate from now on.
func (k *Keeper) use(b *bundle) error {
	key, err := b.serving.keyPEM()
	if err != nil {
		return err
	}
	cert := b.serving.certificatePEM()
	k.mu.Lock()
	changed := !bytes.Equal(k.cert, cert)
	k.cert, k.key = cert, key
	listeners := slices.Clone(k.listeners)
	k.mu.Unlock()
	if changed {
		for _, listener := range listeners {
			listener.Enqueue()
		}
	}
	return nil
}

// trusted returns the APIService's caBundle; nothing when there is no APIService.
func (k *Keeper) trusted(ctx context.Context) ([]byte, error) {
	service, err := k.config.Dynamic.Resource(apiServices).Get(ctx, k.config.APIService, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get APIService %s: %w", k.config.APIService, err)
	}
	return caBundle(service), nil
}

// trust puts the authorities into the APIService's caBundle.
func (k *Keeper) trust(ctx context.Context, trusted, authorities []byte) error {
	if bytes.Equal(trusted, authorities) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"caBundle": authorities, "insecureSkipTLSVerify": false}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = k.config.Dynamic.Resource(apiServices).Patch(ctx, k.config.APIService, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patch the caBundle of APIService %s: %w", k.config.APIService, err)
	}
	return nil
}

func caBundle(service *unstructured.Unstructured) []byte {
	var typed struct {
		Spec struct {
			CABundle []byte `json:"caBundle"`
		} `json:"spec"`
	}
	raw, err := service.MarshalJSON()
	if err != nil || json.Unmarshal(raw, &typed) != nil {
		return nil
	}
	return typed.Spec.CABundle
}
