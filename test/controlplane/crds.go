package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// fieldManager owns what this package applies.
const fieldManager = "kollect-development"

// ApplyCRDs applies the custom resource definitions in dir, one to a file
// *.yaml, and returns when all of them are established.
func ApplyCRDs(ctx context.Context, config *rest.Config, dir string) error {
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("apply CRDs: %w", err)
	}
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return fmt.Errorf("apply CRDs: %w", err)
	}
	if len(files) == 0 {
		return fmt.Errorf("apply CRDs: no *.yaml in %s", dir)
	}
	var names []string
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("apply CRD: %w", err)
		}
		var crd metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(manifest, &crd); err != nil {
			return fmt.Errorf("apply CRD of %s: %w", file, err)
		}
		options := metav1.PatchOptions{FieldManager: fieldManager, Force: ptr.To(true)}
		if _, err := crds.Patch(ctx, crd.Name, types.ApplyYAMLPatchType, manifest, options); err != nil {
			return fmt.Errorf("apply CRD of %s: %w", file, err)
		}
		names = append(names, crd.Name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, fmt.Errorf("not established after %s", waitLimit))
	defer cancel()
	for _, name := range names {
		if err := poll(ctx, func(ctx context.Context) error {
			crd, err := crds.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
				return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
			}) {
				return fmt.Errorf("conditions %v", crd.Status.Conditions)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("wait for CRD %s: %w", name, err)
		}
	}
	return nil
}
