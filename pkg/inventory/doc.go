// Package inventory keeps rows. A [Store] holds the rows that targets collect
// and, for each inventory, an immutable [Snapshot] of the rows of the targets
// it selects. It never reads from a cluster and never writes to a destination,
// it does no I/O and does not log.
//
// Its invariant: a snapshot, once handed out, never changes, and its order, its
// encoded bytes and its content hash depend on its contents alone.
package inventory
