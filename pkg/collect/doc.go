// Package collect keeps the rows of an [inventory.Store] as the cluster is: one
// reflector for each resource feeds all targets that select objects of it, and
// an object is dropped as soon as its rows were made.
//
// It never keeps an object, never writes to a cluster, and never reads the
// configuration resources: who calls [Collector.SetTarget] does.
//
// Its invariant: a row leaves the store only when its object, its target, or
// the namespace's place in the target's selection or permission was observed to
// go. Whatever else ends (a watch, a right, the API server) leaves the rows and
// marks their target stale.
package collect
