package inventory

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

// A caller whose rights have changed goes on with nothing that it has read.
func TestChangedRightsExpireVersions(t *testing.T) {
	for name, change := range map[string]bool{"granted": true, "revoked": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r, a := newAccessibleStorage(t, inventory.Options{})
				addSources(s, platform, 100)
				granted := inventory.Partition{Resource: "services", Namespace: "a"}
				r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
				r.set("alice", granted, !change)
				ctx := as(t, "alice", "")
				page := mustListAccessible(t, ctx, a, options{Limit: 3})
				exact := options{ResourceVersion: page.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
				next := options{Limit: 3, Continue: page.Continue}
				for _, o := range []options{next, exact} {
					mustListAccessible(t, ctx, a, o)
				}
				time.Sleep(6 * time.Second)
				for _, o := range []options{next, exact} {
					mustListAccessible(t, ctx, a, o)
				}
				r.set("alice", granted, change)
				time.Sleep(6 * time.Second)
				for _, o := range []options{next, exact} {
					if _, err := a.List(ctx, &o); !errors.IsResourceExpired(err) || err.(errors.APIStatus).Status().ListMeta.Continue != "" {
						t.Errorf("%+v: got %v", o, err)
					}
				}
				if got := seen(mustWatch(t, ctx, a, options{ResourceVersion: page.ResourceVersion})); !slices.Equal(got, []string{"ERROR 410 Expired", "CLOSED"}) {
					t.Errorf("watch: got %v", got)
				}
				again := mustListAccessible(t, ctx, a, options{})
				if diff := cmp.Diff(visible(s.State(), r, "alice", nil), described(again.objects)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if got := seen(mustWatch(t, ctx, a, options{ResourceVersion: again.ResourceVersion})); len(got) != 0 {
					t.Errorf("watch: got %v", got)
				}
			})
		})
	}
}

// A token whose state is forgotten leads to one that goes on in the newest state,
// with the same rights only.
func TestInconsistentTokensAreBoundToRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, a := newAccessibleStorage(t, inventory.Options{HistoryEvents: 1, HistoryAge: time.Second})
		addSources(s, platform, 100)
		r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
		r.set("bob", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
		ctx := as(t, "alice", "")
		all := described(mustListAccessible(t, ctx, a, options{}).objects)
		page := mustListAccessible(t, ctx, a, options{Limit: 3})
		time.Sleep(2 * time.Second)
		for i := range 3 {
			change(s, sourceRow(platform, 1, i+1)) // hidden
		}
		_, err := a.List(ctx, &options{Limit: 3, Continue: page.Continue})
		if !errors.IsResourceExpired(err) {
			t.Fatalf("got %v", err)
		}
		token := err.(errors.APIStatus).Status().ListMeta.Continue
		rest := mustListAccessible(t, ctx, a, options{Continue: token})
		if got := described(rest.objects); !slices.Equal(got, all[3:]) {
			t.Errorf("got %v, want %v", got, all[3:])
		}
		r.set("alice", inventory.Partition{Resource: "services", Namespace: "a"}, true)
		time.Sleep(6 * time.Second)
		if _, err := a.List(ctx, &options{Continue: token}); !errors.IsResourceExpired(err) {
			t.Errorf("with other rights: got %v", err)
		}
		if _, err := a.List(as(t, "bob", ""), &options{Continue: token}); !errors.IsResourceExpired(err) {
			t.Errorf("another's: got %v", err)
		}
	})
}

func TestAccessibleWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, a := newAccessibleStorage(t, inventory.Options{})
		addSources(s, platform, 1) // a deployment in a
		mine := inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}
		r.set("alice", mine, true)
		r.set("alice", inventory.Partition{Resource: "services", Namespace: "b"}, true)
		ctx, cancel := context.WithTimeout(as(t, "alice", ""), 10*time.Minute)
		defer cancel()
		first := mustListAccessible(t, ctx, a, options{}).ResourceVersion
		w := mustWatch(t, ctx, a, options{ResourceVersion: first, AllowWatchBookmarks: true})
		names := func() []string {
			var names []string
			for _, e := range seen(w) {
				name, _, _ := strings.Cut(e, "@")
				names = append(names, name)
			}
			return names
		}
		expect := func(want ...string) {
			t.Helper()
			if got := names(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		change(s, sourceRow(platform, 0, 1))
		expect("MODIFIED app-0")
		change(s, sourceRow(platform, 7, 0)) // a service in b: a partition that is new
		change(s, sourceRow(platform, 5, 0)) // a service in a: hidden
		change(s, sourceRow(platform, 4, 0)) // a node
		expect("ADDED app-7")
		for i := range 50 { // hidden
			change(s, sourceRow(platform, 5, i))
			time.Sleep(100 * time.Millisecond)
		}
		expect()
		time.Sleep(time.Minute)
		expect("BOOKMARK ")
		remove(s, sourceRow(platform, 7, 0))
		expect("DELETED app-7")
		r.set("alice", mine, false)
		start := time.Now()
		for len(names()) == 0 {
			if time.Since(start) > 10*time.Second {
				t.Fatal("the watch goes on without the right")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// Random changes of rows and rights: who lists and watches as client-go does has
// what the oracle says, and had never seen a row without the right to.
func TestAccessibleWatchLeadsToTheOracle(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 11))
			s, r, a := newAccessibleStorage(t, inventory.Options{})
			for _, ref := range crowd {
				addSources(s, ref, 20)
			}
			users := []string{"alice", "bob"}
			mirrors := map[string]*mirror{}
			for _, user := range users {
				mirrors[user] = &mirror{a: a, ctx: as(t, user, "")}
			}
			for range 150 {
				for range random.IntN(20) {
					row := sourceRow(crowd[random.IntN(len(crowd))], random.IntN(40), random.IntN(3))
					if random.IntN(3) == 0 {
						remove(s, row)
					} else {
						change(s, row)
					}
				}
				if random.IntN(3) == 0 {
					r.set(users[random.IntN(2)], randomRight(random), random.IntN(2) == 0)
				}
				if random.IntN(2) == 0 {
					time.Sleep(7 * time.Second)
				}
				for _, user := range users {
					mirrors[user].follow(t, random.IntN(4) == 0)
				}
			}
			time.Sleep(7 * time.Second)
			for user, m := range mirrors {
				m.follow(t, false)
				m.follow(t, false) // after an end
				got := []string{}
				for _, key := range slices.Sorted(maps.Keys(m.rows)) {
					got = append(got, m.rows[key])
				}
				if diff := cmp.Diff(visible(s.State(), r, user, nil), got); diff != "" {
					t.Fatalf("%s: (-want +got)\n%s", user, diff)
				}
				m.stop()
			}
		})
	}
}

// mirror lists and watches as a reflector does.
type mirror struct {
	a       *accessible
	ctx     context.Context
	rows    map[string]string // by key
	version string
	watch   watch.Interface
}

func (m *mirror) stop() {
	if m.watch != nil {
		m.watch.Stop()
		m.watch = nil
	}
}

// follow takes in all events that have come. It may begin a new watch.
func (m *mirror) follow(t *testing.T, anew bool) {
	if anew {
		m.stop()
	}
	if m.version == "" {
		l := mustListAccessible(t, m.ctx, m.a, options{})
		m.rows, m.version = map[string]string{}, l.ResourceVersion
		for r := range l.objects {
			m.rows[r.key()] = describeRow(r)
		}
	}
	if m.watch == nil {
		var err error
		if m.watch, err = m.a.Watch(m.ctx, &options{ResourceVersion: m.version}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		synctest.Wait()
		select {
		case e := <-m.watch.ResultChan():
			if e.Type == watch.Error {
				if status := e.Object.(*metav1.Status); status.Code != 410 {
					t.Fatalf("got %v", status)
				}
				m.version = ""
				m.stop()
				return
			}
			r := e.Object.(*view[accessibleRow]).item.object
			m.version = r.meta().ResourceVersion
			if _, had := m.rows[r.key()]; had != (e.Type != watch.Added) {
				t.Fatalf("%s %s, which was there: %v", e.Type, describeRow(r), had)
			}
			m.rows[r.key()] = describeRow(r)
			if e.Type == watch.Deleted {
				delete(m.rows, r.key())
			}
		default:
			return
		}
	}
}
