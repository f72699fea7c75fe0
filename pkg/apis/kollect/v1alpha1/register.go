package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the configuration kinds.
const GroupName = "kollect.io"

// SchemeGroupVersion is the group and version of the kinds in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

var (
	// SchemeBuilder collects the functions that add this package to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the configuration kinds.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Resource qualifies a resource name with this package's group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&KollectProfile{}, &KollectProfileList{},
		&KollectClusterProfile{}, &KollectClusterProfileList{},
		&KollectTarget{}, &KollectTargetList{},
		&KollectClusterTarget{}, &KollectClusterTargetList{},
		&KollectInventory{}, &KollectInventoryList{},
		&KollectClusterInventory{}, &KollectClusterInventoryList{},
		&KollectSink{}, &KollectSinkList{},
		&KollectClusterSink{}, &KollectClusterSinkList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
