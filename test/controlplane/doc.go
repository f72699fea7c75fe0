// Package controlplane runs a real Kubernetes control plane on this machine:
// etcd and kube-apiserver, and beside them kollect-apiserver behind an
// APIService. Tests start one each; `make up` starts one that stays.
//
// It never runs a controller manager, a scheduler or a kubelet, so Deployments
// make no Pods, nothing is garbage collected, and a deleted namespace stays
// Terminating. It never listens on anything but loopback addresses and Unix
// sockets, and never touches a kubeconfig that it did not write.
//
// Its invariant: every process that it started is either stopped by Stop, or
// dies with the process that started it (Linux), or, when Options.Detach is
// set, is on record in Options.Dir with its start time, so that Open and Stop
// end exactly that process and no other that was given its number since.
package controlplane
