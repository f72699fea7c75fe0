package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kollect.io/kollect/pkg/inventory"
)

func TestRightsByPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"), partition("pods", "a-b"), partition("secrets", "a"), partition("jobs", "b"), partition("jobs", "a"))
		says := newScript(t, partition("pods", "a-b"), partition("jobs", ""))
		c := New(s, says, Options{}).Caller(alice)
		table := check(t, s, c, partition("pods", "a-b"), partition("jobs", "a"), partition("jobs", "b"))
		if table.Allows(inventory.Partition{Group: "batch", Resource: "jobs"}) {
			t.Error("objects without a namespace are allowed")
		}
		want := map[inventory.Partition]int{
			partition("pods", ""): 1, partition("secrets", ""): 1, partition("jobs", ""): 1,
			partition("pods", "a"): 1, partition("pods", "a-b"): 1, partition("secrets", "a"): 1,
		}
		if diff := cmp.Diff(want, says.takeAsked()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		if again := mustTable(t, c); again != table || len(says.takeAsked()) > 0 {
			t.Error("asked again at once")
		}
		var from []string
		for namespace := range table.From(s.State(), "a-b") {
			from = append(from, namespace)
		}
		if !slices.Equal(from, []string{"a-b", "a", "b"}) {
			t.Errorf("from a-b: %v", from)
		}
	})
}

// A partition that appears is asked about at once, and is not a change of rights.
func TestPartitionThatAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"))
		says := newScript(t, partition("pods", "a"), partition("pods", "b"))
		c := New(s, says, Options{}).Caller(alice)
		before := check(t, s, c, partition("pods", "a"))
		says.takeAsked()
		put(s, partition("pods", "b"), partition("secrets", "b"))
		after := check(t, s, c, partition("pods", "a"), partition("pods", "b"))
		if before.Since() != after.Since() {
			t.Error("rights have changed")
		}
		want := map[inventory.Partition]int{partition("pods", "b"): 1, partition("secrets", ""): 1, partition("secrets", "b"): 1}
		if diff := cmp.Diff(want, says.takeAsked()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		// One that vanishes stays allowed for those who read of its end.
		remove(s, partition("pods", "b"))
		time.Sleep(6 * time.Second)
		gone := check(t, s, c, partition("pods", "a"))
		if !gone.Allows(partition("pods", "b")) || gone.Since() != after.Since() {
			t.Error("what vanished is denied")
		}
		time.Sleep(forget)
		mustTable(t, c)
		time.Sleep(6 * time.Second)
		if last := mustTable(t, c); last.Allows(partition("pods", "b")) || last.Since() != after.Since() || len(last.absent) != 0 {
			t.Error("what vanished long ago is remembered, or was taken for a change")
		}
	})
}

func TestChangesOfRights(t *testing.T) {
	for name, change := range map[string]struct {
		allowed bool
		of      inventory.Partition
		want    []inventory.Partition
	}{
		"granted":              {true, partition("secrets", "a"), []inventory.Partition{partition("pods", "a"), partition("secrets", "a"), partition("jobs", "a"), partition("jobs", "b")}},
		"revoked":              {false, partition("pods", "a"), []inventory.Partition{partition("jobs", "a"), partition("jobs", "b")}},
		"granted cluster-wide": {true, partition("pods", ""), []inventory.Partition{partition("pods", "a"), partition("pods", "b"), partition("jobs", "a"), partition("jobs", "b")}},
		"revoked cluster-wide": {false, partition("jobs", ""), []inventory.Partition{partition("pods", "a"), partition("jobs", "b")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inventory.NewStore(inventory.Options{})
				put(s, partition("pods", "a"), partition("pods", "b"), partition("secrets", "a"), partition("jobs", "a"), partition("jobs", "b"))
				says := newScript(t, partition("pods", "a"), partition("jobs", ""), partition("jobs", "b"))
				c := New(s, says, Options{}).Caller(alice)
				before := mustTable(t, c)
				read := s.State().Version
				says.set(change.of, change.allowed)
				time.Sleep(6 * time.Second)
				after := check(t, s, c, change.want...)
				if before.Since() > read || after.Since() <= read || s.State().Version < after.Since() {
					t.Errorf("good since %d, then since %d; read at %d", before.Since(), after.Since(), read)
				}
				time.Sleep(6 * time.Second)
				if same := mustTable(t, c); same.Since() != after.Since() || same == after {
					t.Error("changed again, or was not asked again")
				}
			})
		})
	}
}

// An error is a denial, never an allowance, and is asked about again before the
// others.
// However slow the authorizer is, no answer is used that is older than allowed.
func TestSlowAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		var all []inventory.Partition
		for i := range 200 {
			all = append(all, partition("pods", fmt.Sprintf("ns-%03d", i)))
		}
		put(s, all...)
		says := newScript(t, all[3], all[150])
		says.takes = 500 * time.Millisecond
		tables := New(s, says, Options{})
		c := tables.Caller(alice)
		start := time.Now()
		table := check(t, s, c, all[3], all[150])
		if took := time.Since(start); took < 6*time.Second || time.Since(table.checked) >= tables.options.TTL {
			t.Errorf("took %v, the answers are of %v ago", took, time.Since(table.checked))
		}
		if says.most > tables.options.PerCaller {
			t.Errorf("%d questions at a time", says.most)
		}
		says.set(all[3], false)
		start = time.Now()
		for mustTable(t, c).Allows(all[3]) {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("what was revoked is denied after %v", took)
		}
		says.set(all[199], true) // denials are asked about in turn
		for start = time.Now(); !mustTable(t, c).Allows(all[199]); time.Sleep(time.Second) {
			if time.Since(start) > 10*time.Minute {
				t.Fatal("what was granted is never seen")
			}
		}
		says.mu.Lock()
		says.takes = time.Hour
		says.mu.Unlock()
		time.Sleep(6 * time.Second)
		start = time.Now()
		_, err := c.Table(t.Context()) // not a table that says that all rights are gone
		if took := time.Since(start); took > 5*time.Second || !apierrors.IsServiceUnavailable(err) {
			t.Errorf("an authorizer that hangs: got %v after %v", err, took)
		}
		if _, again := apierrors.SuggestsClientDelay(err); !again {
			t.Errorf("nobody is told to come again: %v", err)
		}
		says.mu.Lock()
		says.takes = 500 * time.Millisecond
		says.mu.Unlock()
		check(t, s, c, all[150], all[199])
	})
}

// A right that is granted in one of many namespaces shows as soon as one that is
// gone, if answers take a millisecond.
func TestGrantsAmongManyNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		all := make([]inventory.Partition, 10_000)
		for i := range all {
			all[i] = partition("pods", fmt.Sprintf("ns-%05d", i))
		}
		put(s, all...)
		says := newScript(t, all[0])
		says.takes = time.Millisecond
		c := New(s, says, Options{}).Caller(alice)
		mustTable(t, c)
		random := rand.New(rand.NewPCG(5, 6))
		for range 3 {
			time.Sleep(time.Duration(random.IntN(6000)) * time.Millisecond)
			granted := all[1+random.IntN(len(all)-1)]
			says.set(granted, true)
			start := time.Now()
			for ; !mustTable(t, c).Allows(granted); time.Sleep(time.Second) { // as a watch does
				if time.Since(start) > 10*time.Second {
					t.Fatalf("%v does not show", granted)
				}
			}
		}
	})
}

// Many requests of a caller ask once; one that gives up leaves it to the next.
func TestCallersAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"))
		says := newScript(t, partition("pods", "a"))
		says.takes = time.Second
		tables := New(s, says, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var requests sync.WaitGroup
		requests.Go(func() {
			if _, err := tables.Caller(alice).Table(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("gave up with %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			requests.Go(func() { check(t, s, tables.Caller(alice), partition("pods", "a")) })
		}
		synctest.Wait()
		cancel()
		requests.Wait()
		want := map[inventory.Partition]int{partition("pods", ""): 2, partition("pods", "a"): 1}
		if diff := cmp.Diff(want, says.takeAsked()); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}

func TestAuthorizerThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"))
		says := newScript(t)
		says.takes = 700 * time.Millisecond
		_, err := New(s, says, Options{TTL: time.Second, Deadline: 5 * time.Second}).Caller(alice).Table(t.Context())
		if !apierrors.IsServiceUnavailable(err) {
			t.Errorf("got %v", err)
		}
	})
}

// Random rights, rows and times: a table is what the authorizer says of what is
// there, and keeps its Since if, and only if, nothing changed that was there.
func TestTablesFollowRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(3, 4))
		s := inventory.NewStore(inventory.Options{})
		put(s)
		says := newScript(t)
		c := New(s, says, Options{}).Caller(alice)
		var last *Table
		was := map[inventory.Partition]bool{}
		for range 2000 {
			now := map[inventory.Partition]bool{}
			pick := func() inventory.Partition {
				return partition([]string{"pods", "secrets", "jobs"}[random.IntN(3)], []string{"a", "a-b", "b", "c"}[random.IntN(4)])
			}
			switch random.IntN(4) {
			case 0:
				put(s, pick())
			case 1:
				remove(s, pick())
			case 2:
				p := pick()
				if random.IntN(4) == 0 {
					p.Namespace = ""
				}
				says.set(p, random.IntN(2) == 0)
			}
			time.Sleep(6 * time.Second)
			var want []inventory.Partition
			for p := range s.State().Partitions(inventory.Partition{}) {
				wide := p
				wide.Namespace = ""
				now[p] = says.allowed[p] || says.allowed[wide]
				if now[p] {
					want = append(want, p)
				}
			}
			table := check(t, s, c, want...)
			changed := false
			for p, allowed := range was {
				if have, still := now[p]; still && have != allowed {
					changed = true
				}
			}
			if changed && last.Since() == table.Since() {
				t.Fatalf("rights changed from %v to %v, and since when they are good did not", was, now)
			}
			last, was = table, maps.Clone(now)
		}
	})
}
