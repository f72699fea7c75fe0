package controller

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	clientset "kollect.io/kollect/pkg/generated/clientset/versioned"
	informers "kollect.io/kollect/pkg/generated/informers/externalversions"
)

type (
	profileObject   = object[kollectv1alpha1.ProfileSpec, kollectv1alpha1.ProfileStatus]
	targetObject    = object[kollectv1alpha1.TargetSpec, kollectv1alpha1.TargetStatus]
	inventoryObject = object[kollectv1alpha1.InventorySpec, kollectv1alpha1.InventoryStatus]
	sinkObject      = object[kollectv1alpha1.SinkSpec, kollectv1alpha1.SinkDestinationStatus]

	profileKind   = kind[kollectv1alpha1.ProfileSpec, kollectv1alpha1.ProfileStatus]
	targetKind    = kind[kollectv1alpha1.TargetSpec, kollectv1alpha1.TargetStatus]
	inventoryKind = kind[kollectv1alpha1.InventorySpec, kollectv1alpha1.InventoryStatus]
	sinkKind      = kind[kollectv1alpha1.SinkSpec, kollectv1alpha1.SinkDestinationStatus]
)

func newProfileKind(client clientset.Interface, factory informers.SharedInformerFactory) *profileKind {
	watched, api := factory.Kollect().V1alpha1(), client.KollectV1alpha1()
	k := &profileKind{
		name: "KollectProfile", clusterName: "KollectClusterProfile",
		namespaced: watched.KollectProfiles().Informer(), cluster: watched.KollectClusterProfiles().Informer(),
		open: func(item any) (profileObject, bool) {
			switch o := item.(type) {
			case *kollectv1alpha1.KollectProfile:
				return profileObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			case *kollectv1alpha1.KollectClusterProfile:
				return profileObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			}
			return profileObject{}, false
		},
		conditions: func(s *kollectv1alpha1.ProfileStatus) *[]metav1.Condition { return &s.Conditions },
	}
	useClients(k, func(namespace string) objectClient[*kollectv1alpha1.KollectProfile] {
		return api.KollectProfiles(namespace)
	}, objectClient[*kollectv1alpha1.KollectClusterProfile](api.KollectClusterProfiles()))
	return k
}

func newTargetKind(client clientset.Interface, factory informers.SharedInformerFactory) *targetKind {
	watched, api := factory.Kollect().V1alpha1(), client.KollectV1alpha1()
	k := &targetKind{
		name: "KollectTarget", clusterName: "KollectClusterTarget",
		namespaced: watched.KollectTargets().Informer(), cluster: watched.KollectClusterTargets().Informer(),
		open: func(item any) (targetObject, bool) {
			switch o := item.(type) {
			case *kollectv1alpha1.KollectTarget:
				return targetObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			case *kollectv1alpha1.KollectClusterTarget:
				return targetObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			}
			return targetObject{}, false
		},
		conditions: func(s *kollectv1alpha1.TargetStatus) *[]metav1.Condition { return &s.Conditions },
	}
	useClients(k, func(namespace string) objectClient[*kollectv1alpha1.KollectTarget] {
		return api.KollectTargets(namespace)
	}, objectClient[*kollectv1alpha1.KollectClusterTarget](api.KollectClusterTargets()))
	return k
}

func newInventoryKind(client clientset.Interface, factory informers.SharedInformerFactory) *inventoryKind {
	watched, api := factory.Kollect().V1alpha1(), client.KollectV1alpha1()
	k := &inventoryKind{
		name: "KollectInventory", clusterName: "KollectClusterInventory",
		namespaced: watched.KollectInventories().Informer(), cluster: watched.KollectClusterInventories().Informer(),
		open: func(item any) (inventoryObject, bool) {
			switch o := item.(type) {
			case *kollectv1alpha1.KollectInventory:
				return inventoryObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			case *kollectv1alpha1.KollectClusterInventory:
				return inventoryObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			}
			return inventoryObject{}, false
		},
		conditions: func(s *kollectv1alpha1.InventoryStatus) *[]metav1.Condition { return &s.Conditions },
		// Generations are reserved apart from the rest of the status.
		keep: func(to, from *kollectv1alpha1.InventoryStatus) { to.ReservedGeneration = from.ReservedGeneration },
	}
	useClients(k, func(namespace string) objectClient[*kollectv1alpha1.KollectInventory] {
		return api.KollectInventories(namespace)
	}, objectClient[*kollectv1alpha1.KollectClusterInventory](api.KollectClusterInventories()))
	return k
}

func newSinkKind(client clientset.Interface, factory informers.SharedInformerFactory) *sinkKind {
	watched, api := factory.Kollect().V1alpha1(), client.KollectV1alpha1()
	k := &sinkKind{
		name: "KollectSink", clusterName: "KollectClusterSink",
		namespaced: watched.KollectSinks().Informer(), cluster: watched.KollectClusterSinks().Informer(),
		open: func(item any) (sinkObject, bool) {
			switch o := item.(type) {
			case *kollectv1alpha1.KollectSink:
				return sinkObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			case *kollectv1alpha1.KollectClusterSink:
				return sinkObject{&o.ObjectMeta, &o.Spec, &o.Status, o}, true
			}
			return sinkObject{}, false
		},
		conditions: func(s *kollectv1alpha1.SinkDestinationStatus) *[]metav1.Condition { return &s.Conditions },
	}
	useClients(k, func(namespace string) objectClient[*kollectv1alpha1.KollectSink] {
		return api.KollectSinks(namespace)
	}, objectClient[*kollectv1alpha1.KollectClusterSink](api.KollectClusterSinks()))
	return k
}
