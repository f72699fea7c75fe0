package apiserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/apiserver/certificate"
)

// serviceName is the Service that leads to the server, in the namespace of the
// Secret with its certificates.
const serviceName = Name

// certSecret splits --cert-secret.
func (o *Options) certSecret() (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(o.CertSecret, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("--cert-secret %q: want NAMESPACE/NAME", o.CertSecret)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// keepCertificate has the server serve with the certificate of --cert-secret,
// if that is given. It returns once there is one, or when the context ends.
func (c *Config) keepCertificate(ctx context.Context, o *Options) error {
	if o.CertSecret == "" {
		return nil
	}
	secret, err := o.certSecret()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.Generic.ClientConfig)
	if err != nil {
		return fmt.Errorf("create client for certificates: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(c.Generic.ClientConfig)
	if err != nil {
		return fmt.Errorf("create client for the APIService: %w", err)
	}
	service := serviceName + "." + secret.Namespace
	keeper := certificate.NewKeeper(certificate.Config{
		Client: client, Dynamic: dynamicClient, Secret: secret, APIService: o.APIService,
		Names: []string{service + ".svc", service, service + ".svc.cluster.local"},
		Now:   time.Now,
	})
	c.Generic.SecureServing.Cert = keeper
	return wait.PollUntilContextCancel(ctx, 5*time.Second, true, func(ctx context.Context) (bool, error) {
		if err := keeper.RunOnce(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "Waiting for a serving certificate", "secret", secret)
			return false, nil
		}
		return true, nil
	})
}
