// Package kubernetes holds the served resources against what Kubernetes expects
// of its own: the end-to-end specs of its API machinery, and what its scripts
// assert of kubectl, restated for resources that are only read. The specs run
// against inventoryrows, clusterinventoryrows and accessiblerows at once; the
// assertions of kubectl run with the newest kubectl and with an older one.
//
// It never writes a row: rows change because the objects change that they are
// made of. Its invariant: each test keeps to a namespace and a cluster inventory
// of its own, so that all that do not stop the server run at the same time.
package kubernetes
