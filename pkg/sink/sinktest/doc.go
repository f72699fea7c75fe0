// Package sinktest is the conformance suite of the sink roles, and the samples
// that its tests export. A destination joins by handing a way to open it, and
// an independent way to read it, to the suite of its role.
package sinktest
