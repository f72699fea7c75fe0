// Package inventory serves what is in an inventory.Store as read-only API
// resources: inventories and their rows, namespaced and cluster-scoped, with
// get, list, watch and Table, and whole snapshots as files. It never changes the
// store, never waits for it except where the API's contract says so (a version
// that is not there yet, for three seconds), and knows nothing of where rows come
// from or go to.
//
// Its invariant: an object, list or event is made of one immutable state, so
// that all that carries one resource version agrees, and a watch from a version
// that was handed out leads to the same objects as a later list.
package inventory
