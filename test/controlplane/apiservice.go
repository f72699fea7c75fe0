package controlplane

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	applyregistrationv1 "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// Where the aggregated server is registered.
const (
	Namespace = "kollect-system"
	Service   = "kollect-apiserver"
)

// ServingName is the name by which kube-apiserver checks the certificate of the
// aggregated server.
const ServingName = Service + "." + Namespace + ".svc"

// RegisterAPIService has kube-apiserver serve the group's version from the
// server on the loopback port, whose certificate is for ServingName and signed
// by caBundle. It returns when the API answers through kube-apiserver. To
// register again moves the API to the new port and bundle; a server that was
// registered before, and still runs, may answer a moment longer.
func RegisterAPIService(ctx context.Context, config *rest.Config, group, version string, port int, caBundle []byte) error {
	name := version + "." + group
	if err := applyService(ctx, config); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	apiServices := client.ApiregistrationV1().APIServices()
	desired := applyregistrationv1.APIService(name).WithSpec(applyregistrationv1.APIServiceSpec().
		WithGroup(group).
		WithVersion(version).
		WithGroupPriorityMinimum(1000).
		WithVersionPriority(15).
		WithCABundle(caBundle...).
		WithService(applyregistrationv1.ServiceReference().
			WithNamespace(Namespace).
			WithName(Service).
			WithPort(int32(port))))
	if _, err := apiServices.Apply(ctx, desired, applyOptions()); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, fmt.Errorf("not available after %s", waitLimit))
	defer cancel()
	if err := poll(ctx, func(ctx context.Context) error {
		apiService, err := apiServices.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := available(apiService); err != nil {
			return err
		}
		// The condition may still be that of an earlier registration.
		return client.Discovery().RESTClient().Get().AbsPath("/apis", group, version).Do(ctx).Error()
	}); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	return nil
}

// AwaitOpenAPI returns when kube-apiserver has the schema of the group's version,
// which it fetches a moment after the APIService is available: kubectl explain
// needs it.
func AwaitOpenAPI(ctx context.Context, config *rest.Config, group, version string) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("await schema: %w", err)
	}
	path := "apis/" + group + "/" + version
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, fmt.Errorf("not there after %s", waitLimit))
	defer cancel()
	if err := poll(ctx, func(context.Context) error {
		paths, err := client.OpenAPIV3().Paths()
		if err == nil && paths[path] == nil {
			err = errors.New("kube-apiserver does not have it yet")
		}
		return err
	}); err != nil {
		return fmt.Errorf("await schema of %s: %w", path, err)
	}
	return nil
}

// applyService applies the Service that leads kube-apiserver to this machine.
func applyService(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().Namespaces().Apply(ctx, applycorev1.Namespace(Namespace), applyOptions()); err != nil {
		return err
	}
	service := applycorev1.Service(Service, Namespace).WithSpec(applycorev1.ServiceSpec().
		WithType(corev1.ServiceTypeExternalName).
		WithExternalName("localhost"))
	_, err = client.CoreV1().Services(Namespace).Apply(ctx, service, applyOptions())
	return err
}

func applyOptions() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}

func available(s *apiregistrationv1.APIService) error {
	for _, c := range s.Status.Conditions {
		if c.Type != apiregistrationv1.Available {
			continue
		}
		if c.Status == apiregistrationv1.ConditionTrue {
			return nil
		}
		return fmt.Errorf("%s: %s", c.Reason, c.Message)
	}
	return errors.New("not checked yet")
}
