// Package export brings the newest snapshot of each inventory to its sinks. An
// [Exporter] runs one loop a pair of inventory and sink; each has its own
// retries and its own state, so that a slow or dead sink delays nobody, unless
// the memory for writing is all taken; and nothing queues: a loop looks at the
// newest snapshot whenever it is ready.
//
// It never reads from a cluster and never remembers for a destination what the
// destination holds: that is read from there on first contact and after every
// error.
//
// Its invariant: the generations that a destination is given only rise, each is
// reserved in persistent storage before it is used, and each stands for one
// content.
package export
