package inventory

import (
	"slices"
	"testing"
)

func TestSnapshotsOfAScope(t *testing.T) {
	refs := []Ref{
		{Name: "a"}, {Name: "b"}, {Name: "b.c"},
		{Namespace: "0", Name: "z"}, {Namespace: "n-1", Name: "a"}, {Namespace: "n", Name: "a"}, {Namespace: "n", Name: "b-1"},
		{Namespace: "n", Name: "b"}, {Namespace: "n1", Name: "a"},
	}
	s := NewStore(Options{})
	s.Update(func(tx *Tx) {
		for _, ref := range slices.Backward(refs) {
			tx.SetInventory(Inventory{Ref: ref})
		}
	})
	for _, test := range []struct {
		name      string
		scope     Scope
		namespace string
		from      Ref
		want      []Ref
	}{
		{"cluster", Cluster, "", Ref{}, refs[:3]},
		{"cluster from", Cluster, "", Ref{Name: "b"}, refs[1:3]},
		{"cluster from the end", Cluster, "", Ref{Name: "z"}, nil},
		{"namespaced", Namespaced, "", Ref{}, refs[3:]},
		{"namespaced from", Namespaced, "", Ref{Namespace: "n", Name: "b-0"}, refs[6:]},
		{"namespace", Namespaced, "n", Ref{}, refs[5:8]},
		{"namespace from", Namespaced, "n", Ref{Namespace: "n", Name: "aa"}, refs[6:8]},
		{"namespace from one before", Namespaced, "n", Ref{Namespace: "a", Name: "a"}, refs[5:8]},
		{"no such namespace", Namespaced, "m", Ref{}, nil},
		{"namespace of the cluster scope", Cluster, "n", Ref{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []Ref
			for snapshot := range s.State().SnapshotsFrom(test.scope, test.namespace, test.from) {
				got = append(got, snapshot.Inventory().Ref)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if s.State().Snapshot(Ref{Namespace: "n", Name: "c"}) != nil {
		t.Error("there is a snapshot of no inventory")
	}
	for range s.State().Snapshots(Namespaced, "") {
		break // must not go on
	}
}
