package inventory

import (
	"iter"

	"github.com/tidwall/btree"
)

// State is the content of a store at one version: the snapshots of all its
// inventories. What is read of one state agrees with itself.
//
// **A State never changes.**
type State struct {
	// Version is the newest version that the state reflects.
	Version    uint64
	snapshots  *btree.Map[string, *Snapshot]
	partitions partitions
}

// Snapshot returns the snapshot of the named inventory, or nil.
func (s *State) Snapshot(ref Ref) *Snapshot {
	snapshot, _ := s.snapshots.Get(ref.position())
	return snapshot
}

// Scope tells namespaced inventories from cluster inventories.
type Scope bool

const (
	// Namespaced inventories live in a namespace.
	Namespaced Scope = false
	// Cluster inventories have no namespace.
	Cluster Scope = true
)

// Scope of the inventory.
func (r Ref) Scope() Scope { return r.Namespace == "" }

// Snapshots yields the snapshots of a scope, of one namespace if that is not
// empty, in the order of their rows' names.
func (s *State) Snapshots(scope Scope, namespace string) iter.Seq[*Snapshot] {
	return s.SnapshotsFrom(scope, namespace, Ref{})
}

// SnapshotsFrom is Snapshots from the given inventory on, which need not exist.
func (s *State) SnapshotsFrom(scope Scope, namespace string, from Ref) iter.Seq[*Snapshot] {
	start := "0" // after every cluster inventory, since those start with /
	if scope == Cluster {
		start = "/"
	} else if namespace != "" {
		start = namespace + "/"
	}
	if from != (Ref{}) {
		start = max(start, from.position())
	}
	return func(yield func(*Snapshot) bool) {
		s.snapshots.Ascend(start, func(_ string, snapshot *Snapshot) bool {
			ref := snapshot.inventory.Ref
			if ref.Scope() != scope || namespace != "" && ref.Namespace != namespace {
				return false
			}
			return yield(snapshot)
		})
	}
}
