// Package access knows which rows each caller may see: those whose source object
// the caller may list. It asks an authorizer, of any kind, about partitions of
// rows (a resource in a namespace), never about single rows, and keeps the
// answers of each caller for a few seconds. It never reads rows.
//
// Its invariant: what it permits is what the authorizer permitted no longer ago
// than Options.TTL. A question that the authorizer fails to answer is a denial, and
// is asked again; one that it does not answer in time is the request's error.
package access
