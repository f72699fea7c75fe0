// Package matrix judges who may read what. It asks a server behind a real
// kube-apiserver a generated matrix of callers, resources, verbs and
// representations, and compares each answer with what an evaluator of its own
// says, which knows only RBAC objects, source objects and which targets there
// are. It never uses the server's own ideas of rights.
//
// Its invariant: an answer is judged both ways. What is missing is an error, and
// so is any trace of what the caller may not see, wherever in the answer it is.
package matrix
