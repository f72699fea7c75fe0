package access

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kollect.io/kollect/pkg/inventory"
)

// script is an authorizer that says what it is told to.
type script struct {
	t *testing.T

	mu      sync.Mutex // guards what follows
	allowed map[inventory.Partition]bool
	failing map[inventory.Partition]bool
	asked   map[inventory.Partition]int
	at      int           // how many are asked now
	most    int           // how many were at a time
	takes   time.Duration // a question
}

func newScript(t *testing.T, allowed ...inventory.Partition) *script {
	s := &script{t: t, allowed: map[inventory.Partition]bool{}, failing: map[inventory.Partition]bool{}, asked: map[inventory.Partition]int{}}
	for _, p := range allowed {
		s.allowed[p] = true
	}
	return s
}

func (s *script) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() != "list" || a.GetName() != "" || a.GetSubresource() != "" || !a.IsResourceRequest() {
		s.t.Errorf("asked %+v", a)
	}
	p := inventory.Partition{Group: a.GetAPIGroup(), Resource: a.GetResource(), Namespace: a.GetNamespace()}
	s.mu.Lock()
	s.asked[p]++
	s.at++
	s.most = max(s.most, s.at)
	allowed, failing, takes := s.allowed[p], s.failing[p], s.takes
	s.mu.Unlock()
	var err error
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at--
	switch {
	case err != nil:
		return authorizer.DecisionNoOpinion, "", err
	case failing: // an error counts, whatever is decided
		return authorizer.DecisionAllow, "", errors.New("the authorizer is down")
	case allowed:
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (s *script) set(p inventory.Partition, allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed[p] = allowed
}

func (s *script) fail(p inventory.Partition, failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[p] = failing
}

// takeAsked returns what was asked since it was called last.
func (s *script) takeAsked() map[inventory.Partition]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = map[inventory.Partition]int{}
	return asked
}

var (
	target    = &inventory.TargetRef{Name: "all"}
	resources = map[string]*inventory.Resource{
		"pods":    {Version: "v1", Resource: "pods", Kind: "Pod"},
		"secrets": {Version: "v1", Resource: "secrets", Kind: "Secret"},
		"jobs":    {Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job"},
	}
	alice = &user.DefaultInfo{Name: "alice", Groups: []string{"devs", "system:authenticated"}}
)

func partition(resource, namespace string) inventory.Partition {
	return inventory.Partition{Group: resources[resource].Group, Resource: resource, Namespace: namespace}
}

func row(p inventory.Partition) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: resources[p.Resource], Target: target, Namespace: p.Namespace, Name: "x", UID: p.Resource + "-" + p.Namespace,
	})
}

func put(s *inventory.Store, partitions ...inventory.Partition) {
	s.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: inventory.Ref{Name: "all"}, Targets: []inventory.TargetRef{*target}})
		for _, p := range partitions {
			tx.Put(row(p), "")
		}
	})
}

func remove(s *inventory.Store, p inventory.Partition) {
	s.Update(func(tx *inventory.Tx) { tx.Remove(row(p)) })
}

func mustTable(t *testing.T, c *Caller) *Table {
	t.Helper()
	table, err := c.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// seen returns what the table yields of the store's rows.
func seen(t *testing.T, s *inventory.Store, table *Table) []inventory.Partition {
	t.Helper()
	var all []inventory.Partition
	last := ""
	for namespace, partitions := range table.From(s.State(), "") {
		if last != "" && inventory.CompareNamespaces(last, namespace) >= 0 {
			t.Errorf("namespace %q after %q", namespace, last)
		}
		last = namespace
		for _, p := range partitions {
			if p.Namespace != namespace || !table.Allows(p) {
				t.Errorf("%v in namespace %q, allowed: %v", p, namespace, table.Allows(p))
			}
			if s.State().HasPartition(p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, inventory.Partition.Compare)
	return all
}

func check(t *testing.T, s *inventory.Store, c *Caller, want ...inventory.Partition) *Table {
	t.Helper()
	table := mustTable(t, c)
	slices.SortFunc(want, inventory.Partition.Compare)
	if diff := cmp.Diff(want, seen(t, s, table)); diff != "" {
		t.Errorf("may see (-want +got):\n%s", diff)
	}
	return table
}
