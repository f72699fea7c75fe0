// Package remote speaks with a Git server, over HTTPS or SSH: it reads a branch,
// fetches objects, and pushes a commit if the branch is still where it was. It
// keeps no objects and has no work tree, and it never forces a push.
//
// It fetches by protocol version 2, in which any object can be asked for, and what
// is not needed left out, or by version 0 where a server knows no other.
package remote
