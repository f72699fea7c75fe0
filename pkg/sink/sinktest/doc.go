// Package sinktest is the conformance suite of the sink roles, and the samples
// that its tests export. A destination joins by handing to the suite of its role
// a way to open it and an independent way to read it. It knows no particular
// destination.
//
// Its invariant: what a destination shows to a reader is compared with the
// snapshots that were exported, never with what the sink says of itself.
package sinktest
