package main

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// app is one application of the demo: a Deployment, a Service and its settings.
type app struct {
	namespace, name, tier, image, version string
	replicas                              int32
}

// demoApps are two tenants' applications.
func demoApps() []app {
	var apps []app
	for _, tenant := range []struct {
		namespace string
		names     []string
	}{
		{"team-a", []string{"shop", "cart", "web", "checkout", "catalog", "profile", "canary"}},
		{"team-b", []string{"billing", "ledger", "invoices", "refunds", "reports", "taxes"}},
	} {
		for i, name := range tenant.names {
			version := fmt.Sprintf("1.%d.%d", 24+i%4, i%3)
			apps = append(apps,
				app{tenant.namespace, name, "web", "nginx:" + version, version, int32(1 + i%3)},
				app{tenant.namespace, name + "-worker", "worker", "redis:7." + fmt.Sprint(i%5), "7." + fmt.Sprint(i%5), 1})
		}
	}
	return apps
}

// demoWorkloads returns the demo's Deployments, Services, ConfigMaps and Caches
// as one YAML stream.
func demoWorkloads() (string, error) {
	var documents []string
	add := func(obj runtime.Object) error {
		document, err := yaml.Marshal(obj)
		documents = append(documents, string(document))
		return err
	}
	for i, a := range demoApps() {
		objects := []runtime.Object{a.deployment(), a.settings()}
		if a.tier == "web" {
			objects = append(objects, a.service())
		}
		if a.namespace == "team-b" && i%2 == 0 {
			objects = append(objects, a.cache())
		}
		for _, obj := range objects {
			if err := add(obj); err != nil {
				return "", fmt.Errorf("encode the demo's %s: %w", a.name, err)
			}
		}
	}
	return strings.Join(documents, "---\n"), nil
}

func (a app) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.namespace, Name: name, Labels: map[string]string{
		"app": a.name, "tier": a.tier, "app.kubernetes.io/version": a.version,
	}}
}

func (a app) deployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: a.meta(a.name),
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(a.replicas),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": a.name}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": a.name}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: a.image}}},
			},
		},
	}
}

func (a app) service() *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: a.meta(a.name),
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": a.name},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

func (a app) settings() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: a.meta(a.name + "-settings"),
		Data:       map[string]string{"loglevel": "info", "region": "eu-central-1"},
	}
}

func (a app) cache() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "demo.example.com/v1", "kind": "Cache",
		"metadata": map[string]any{"namespace": a.namespace, "name": a.name + "-cache", "labels": map[string]any{"app": a.name}},
		"spec":     map[string]any{"engine": "redis", "memory": "256Mi", "replicas": int64(2)},
	}}
}
