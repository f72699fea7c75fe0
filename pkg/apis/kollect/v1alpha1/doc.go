// Package v1alpha1 is the configuration API of Kollect: which resources to
// read (profiles), which objects of them (targets), which snapshots to keep
// (inventories) and where to export those (sinks). The kinds are stored by the
// host cluster as custom resources; nothing here holds collected data.
//
// Each namespaced kind has a cluster-scoped twin with the same spec and status.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.kollect.kollect.pkg.apis.kollect.v1alpha1
// +groupName=kollect.io
package v1alpha1
