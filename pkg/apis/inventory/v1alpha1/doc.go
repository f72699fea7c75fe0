// Package v1alpha1 is the served, read-only API of Kollect: the heads of
// inventories and their rows. Objects of this group are made from snapshots in
// memory; they are never stored and can't be written.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.kollect.inventory.v1alpha1
// +groupName=inventory.kollect.io
package v1alpha1
