// Package apiserver assembles kollect-apiserver: its options and flags, the
// generic API server with delegated authentication and authorization, and what
// runs beside it. It has no logic of its own: it joins the other packages.
//
// Its invariant: whether the server is ready, and what discovery answers, never
// depends on the data of any target.
package apiserver
