package git

import (
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	exporter "kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/test/fleet"
	service "kollect.io/kollect/test/services/git"
)

// Clusters export to one branch by the loops of the server, and lose nothing, of others
// neither.
func TestClustersShareABranch(t *testing.T) {
	d := over(t, start(t, service.Options{}), "https", kollectv1alpha1.GitSink{Layout: "perResource"}, filters)
	commitFile(t, d, "README.md", "# ours\n")
	fleet.Test(t, fleet.Destination{Read: d.Read, Open: func(t *testing.T) (sink.Store, func() exporter.Destination) {
		store := d.Open(t)
		return store, func() exporter.Destination { return exporter.FromSnapshotStore(store) }
	}})
	if got := mustGit(t, d, "show", "main:README.md"); got != "# ours" {
		t.Errorf("the others' file is %q", got)
	}
	mustGit(t, d, "fsck", "--strict", "--full")
}
