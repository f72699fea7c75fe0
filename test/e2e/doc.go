// Package e2e tests the real kollect-apiserver, with the race detector, on a
// real control plane and behind the real aggregator: what people see through
// kubectl, and what lies in the sinks. The tests share one control plane, each
// in a namespace of its own, and run one after another, since some of them stop
// the server or kube-apiserver.
//
// It never looks inside of the server. Its invariant: a test leaves nothing
// behind that another sees.
package e2e
