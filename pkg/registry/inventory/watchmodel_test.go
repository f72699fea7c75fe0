package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	"kollect.io/kollect/pkg/inventory"
)

var watchedRefs = []inventory.Ref{apps, {Namespace: "team-b", Name: "apps"}, platform, {Namespace: "team-a", Name: "more"}}

// watchedRow returns a row of the inventory in one of its contents.
func watchedRow(random *rand.Rand, ref inventory.Ref) *inventory.Row {
	i := random.IntN(12)
	content := inventory.RowContent{
		Resource: deployments, Target: targetOf(ref), Namespace: "source-" + strconv.Itoa(i%3),
		Name: fmt.Sprintf("app-%d", i), UID: fmt.Sprintf("uid-%d", i), Created: created,
		Labels:     map[string]string{"n": strconv.Itoa(random.IntN(3))},
		Attributes: fmt.Appendf(nil, `{"image":%q,"replicas":%d}`, []string{"a", "b", ""}[random.IntN(3)], random.IntN(2)),
	}
	if random.IntN(2) == 0 {
		content.Labels["tier"] = []string{"web", "data", ""}[random.IntN(3)]
	}
	if random.IntN(4) == 0 {
		content.Attributes = nil
	}
	return inventory.NewRow(content)
}

// changeSome makes an update of some rows.
func changeSome(random *rand.Rand, s *inventory.Store) {
	s.Update(func(tx *inventory.Tx) {
		for range random.IntN(4) {
			row := watchedRow(random, watchedRefs[random.IntN(len(watchedRefs))])
			if random.IntN(4) == 0 {
				tx.Remove(row)
			} else {
				tx.Put(row, "")
			}
		}
	})
}

// naive is a watch whose events are known from what is known of API objects.
type naive struct {
	resource, namespace string
	labels, fields      []string
	label               labels.Selector
	field               fields.Selector

	since uint64   // the version after which it is told what happens
	first []string // what there is then, if it is told that
	watch watch.Interface
	got   []string
}

var (
	labelTerms = []string{"n=0", "n=1", "n in (0,2)", "n!=1", "tier=web", "tier=", "tier", "!tier", "tier notin (web)", "none=0"}
	fieldTerms = []string{
		"source.name=app-3", "source.name!=app-3", "source.uid=uid-4", "source.namespace=source-1", "source.kind=Deployment", "source.kind=Node",
		"inventory=apps", "inventory!=apps", "target=platform", "target=team-a/apps", "attributes.image=a", "attributes.image=", "attributes.image!=b",
		"attributes.replicas=1", "metadata.name=NAME", "metadata.name!=NAME",
	}
)

func newNaive(random *rand.Rand, s *inventory.Store) *naive {
	n := &naive{resource: "inventoryrows", namespace: []string{"", "team-a", "team-b"}[random.IntN(3)]}
	if random.IntN(4) == 0 {
		n.resource, n.namespace = "clusterinventoryrows", ""
	}
	for range random.IntN(3) {
		n.labels = append(n.labels, labelTerms[random.IntN(len(labelTerms))])
	}
	for range random.IntN(3) {
		name := "apps." + strings.Repeat("0", inventory.KeyLength) // of no row
		if snapshot := s.State().Snapshot(watchedRefs[random.IntN(4)]); snapshot != nil {
			for e := range snapshot.Entries() {
				name = row{snapshot.Inventory(), *e}.name()
			}
		}
		n.fields = append(n.fields, strings.ReplaceAll(fieldTerms[random.IntN(len(fieldTerms))], "NAME", name))
	}
	if strings.Contains(strings.Join(n.fields, ","), "attributes.") { // which an inventory that is not there does not promote
		n.fields = slices.DeleteFunc(n.fields, func(term string) bool {
			return strings.HasPrefix(term, "inventory=") || strings.HasPrefix(term, "metadata.name=")
		})
	}
	return n
}

// start starts the watch at a version, or, if that is empty, now.
func (n *naive) start(t *testing.T, s *inventory.Store, storages map[string]rest.Storage, from string) {
	var err error
	if n.label, err = labels.Parse(strings.Join(n.labels, ",")); err != nil {
		t.Fatal(err)
	}
	n.field = fields.ParseSelectorOrDie(strings.Join(n.fields, ","))
	o := options{LabelSelector: n.label, FieldSelector: n.field, ResourceVersion: from}
	n.watch = mustWatch(t, in(t, n.namespace), storages[n.resource], o)
	if n.since, err = strconv.ParseUint(from, 10, 64); err == nil {
		return
	}
	state := s.State()
	n.since = state.Version
	for snapshot := range state.Snapshots(n.scope(), "") {
		for e := range snapshot.Entries() {
			if r := (row{snapshot.Inventory(), *e}); n.selects(r) {
				n.first = append(n.first, eventText(watch.Added, r))
			}
		}
	}
	slices.Sort(n.first)
}

func (n *naive) scope() inventory.Scope { return n.resource == "clusterinventoryrows" }

// selects reads an API object, as kube-apiserver would.
func (n *naive) selects(r row) bool {
	if r.Row == nil || n.namespace != "" && n.namespace != r.inventory.Namespace {
		return false
	}
	content, m := r.content(), r.meta()
	set := fields.Set{
		"metadata.name": m.Name, "metadata.namespace": m.Namespace, "inventory": content.Inventory, "target": r.Row.Target().String(),
		"source.kind": content.Source.Kind, "source.name": content.Source.Name, "source.namespace": content.Source.Namespace, "source.uid": content.Source.UID,
	}
	for name, value := range content.Attributes {
		text := string(value.Raw)
		if unquoted, err := strconv.Unquote(text); err == nil {
			text = unquoted
		}
		set["attributes."+name] = text
	}
	return n.label.Matches(labels.Set(m.Labels)) && n.field.Matches(set)
}

// want returns what the watch must have been told.
func (n *naive) want(log []inventory.Event) []string {
	want := slices.Clone(n.first)
	for i := range log {
		e := &log[i]
		if e.Version <= n.since || e.Inventory.Scope() != n.scope() {
			continue
		}
		before, after := row{e.Inventory, e.Before}, row{e.Inventory, e.After}
		before.Version = e.Version
		switch was, is := n.selects(before), n.selects(after); {
		case was && is:
			want = append(want, eventText(watch.Modified, after))
		case is:
			want = append(want, eventText(watch.Added, after))
		case was:
			want = append(want, eventText(watch.Deleted, before))
		}
	}
	return want
}

func eventText(what watch.EventType, r row) string {
	return fmt.Sprintf("%s %s@%d", what, r.key(), r.Version)
}

func (n *naive) take(t *testing.T, e watch.Event) {
	m, err := meta.Accessor(e.Object)
	if err != nil {
		t.Fatal(err)
	}
	n.got = append(n.got, fmt.Sprintf("%s %s@%s", e.Type, objectKey(m.GetNamespace(), m.GetName()), m.GetResourceVersion()))
}

// read takes so many of the events that have come, at most.
func (n *naive) read(t *testing.T, most int) {
	for range most {
		synctest.Wait()
		select {
		case e, ok := <-n.watch.ResultChan():
			if !ok {
				t.Fatal("closed")
			}
			n.take(t, e)
		default:
			return
		}
	}
}

func (n *naive) check(t *testing.T, log []inventory.Event) {
	slices.Sort(n.got[:min(len(n.first), len(n.got))])
	if diff := cmp.Diff(n.want(log), n.got, equateEmpty); diff != "" {
		t.Errorf("%s in %q by %q and %q from %d: (-want +got)\n%s", n.resource, n.namespace, n.labels, n.fields, n.since, diff)
	}
}

var equateEmpty = cmp.FilterValues(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Comparer(func(a, b []string) bool { return true }))

// Watches of random selections start at any version, are read or not, and end,
// while rows change: each has been told what it would be told on its own.
func TestEachWatchIsToldWhatItSelects(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 12))
			s, storages := newStorage(t, inventory.Options{})
			for _, ref := range watchedRefs {
				addInventory(s, ref, 0)
			}
			cursor := s.Tail()
			first := cursor.Version()
			var log []inventory.Event
			var watches []*naive
			end := func(i int) {
				watches[i].read(t, 1e6)
				watches[i].check(t, log)
				watches[i].watch.Stop()
				watches = slices.Delete(watches, i, i+1)
			}
			for range 120 {
				for range random.IntN(4) {
					changeSome(random, s)
				}
				for isReady(cursor.Ready()) {
					events, _ := cursor.Next()
					log = append(log, events...)
				}
				for range random.IntN(3) {
					n, from := newNaive(random, s), ""
					if len(watches) > 0 && random.IntN(2) == 0 { // of a group that there is
						other := watches[random.IntN(len(watches))]
						n.resource, n.namespace, n.labels, n.fields = other.resource, other.namespace, other.labels, other.fields
					}
					if random.IntN(3) > 0 {
						from = version(max(first, s.State().Version-uint64(random.IntN(20))))
					}
					n.start(t, s, storages, from)
					watches = append(watches, n)
				}
				for _, n := range watches {
					n.read(t, random.IntN(8))
				}
				if len(watches) > 0 && random.IntN(2) == 0 {
					end(random.IntN(len(watches)))
				}
			}
			for len(watches) > 0 {
				end(0)
			}
		})
	}
}

// Watches that start at any version while others write miss nothing and are told
// nothing twice.
func TestWatchesJoinWhatHappens(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	for _, ref := range watchedRefs {
		addInventory(s, ref, 0)
	}
	cursor := s.Tail()
	first, written := cursor.Version(), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		random := rand.New(rand.NewPCG(1, 13))
		for range 3000 {
			changeSome(random, s)
		}
		close(written)
	})
	ended := make(chan *naive, 200)
	for i := range uint64(8) {
		group.Go(func() {
			random := rand.New(rand.NewPCG(i, 14))
			for !isReady(written) && len(ended) < cap(ended)-8 {
				n := newNaive(random, s)
				newest := s.State().Version
				n.start(t, s, storages, version(newest-uint64(random.Int64N(min(500, int64(newest-first+1))))))
				for range random.IntN(300) {
					select {
					case e := <-n.watch.ResultChan():
						n.take(t, e)
					case <-written:
					}
				}
				n.watch.Stop()
				ended <- n
			}
		})
	}
	group.Wait()
	close(ended)
	var log []inventory.Event
	for isReady(cursor.Ready()) {
		events, _ := cursor.Next()
		log = append(log, events...)
	}
	told := 0
	for n := range ended {
		want := n.want(log)
		told += len(n.got)
		if diff := cmp.Diff(want[:min(len(want), len(n.got))], n.got, equateEmpty); diff != "" {
			t.Errorf("%s in %q by %q and %q from %d: (-want +got)\n%s", n.resource, n.namespace, n.labels, n.fields, n.since, diff)
		}
	}
	if told < 1000 {
		t.Errorf("%d events were told: too few to say much", told)
	}
}
