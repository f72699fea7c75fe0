// Package certificate keeps the serving certificate of the aggregated API: it
// is made by the server, kept in a Secret that all replicas share, rotated in
// time and used without a restart, and the APIService trusts its authority.
//
// It never trusts or replaces what it cannot parse, and never logs a key. Its
// invariant: a serving certificate is used only when its authority stands in
// the APIService's caBundle, or when there is nothing else to serve with.
package certificate
