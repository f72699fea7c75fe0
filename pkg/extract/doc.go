// Package extract reads attributes from objects. A [Profile] is compiled once
// from the attributes of a profile and then turns each object into a canonical
// JSON object of its attributes; a [Match] is a compiled condition on objects.
// Expressions are CEL, with the libraries of Kubernetes, or kubectl JSONPath.
//
// It never reads from a cluster, never logs, keeps no object, and never puts a
// value that it read into an error.
//
// Its invariant: the encoded attributes depend on the object and the
// expressions alone: not on map iteration, time, or earlier objects; and
// whatever the expression and the object, an evaluation ends soon, within the
// limits that the constants of this package state.
package extract
