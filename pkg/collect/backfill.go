package collect

import (
	"context"
	"errors"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

const (
	// defaultPageSize is how many objects a backfill lists at a time.
	defaultPageSize = 500
	// maxLists bounds how many namespaces a backfill lists one by one.
	maxLists = 32
)

// backfill lists objects beside the reflector, for targets or namespaces that
// joined after the reflector listed all.
//
// What it lists was in etcd after they joined, so every event that they have
// no part in is older. Of each object the newest version counts, and an event
// that the reflector had meanwhile counts for more than an older page.
type backfill struct {
	resource *resource
	requests map[*member]*request
	specs    map[*member]*spec
	only     map[*spec]bool
	lists    uint64   // complete lists of the resource when it began
	plan     []string // namespaces to list; "" is for all
	options  metav1.ListOptions
}

// errRelisted says that all objects were listed meanwhile.
var errRelisted = errors.New("listed meanwhile")

// backfill makes the backfills that were requested, all with one list.
func (r *resource) backfill(ctx context.Context) error {
	b := r.beginBackfill()
	var err error
	for _, namespace := range b.plan {
		if err = b.list(ctx, namespace); err != nil {
			break
		}
	}
	return r.endBackfill(b, err)
}

func (r *resource) beginBackfill() *backfill {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &backfill{
		resource: r,
		requests: maps.Clone(r.requests),
		specs:    map[*member]*spec{},
		only:     map[*spec]bool{},
		lists:    r.lists,
		options:  metav1.ListOptions{Limit: r.collector.options.pageSize},
	}
	r.seen = map[names]uint64{}
	namespaces := set{}
	everywhere := false
	for m, req := range b.requests {
		b.specs[m] = m.spec
		b.only[m.spec] = true
		if req.everything {
			everywhere = everywhere || m.scope.all
			maps.Copy(namespaces, m.scope.in)
		}
		maps.Copy(namespaces, req.namespaces)
	}
	b.plan = slices.Sorted(maps.Keys(namespaces))
	if everywhere || len(b.plan) > maxLists {
		b.plan = []string{""}
	}
	b.narrow()
	return b
}

// narrow leaves out what none of the targets selects, where that is simple.
func (b *backfill) narrow() {
	var selectors, names []string
	for s := range b.only {
		selectors = append(selectors, s.labels.String())
		if len(s.names) == 1 {
			for name := range s.names {
				names = append(names, name)
			}
		}
	}
	slices.Sort(selectors)
	if selectors = slices.Compact(selectors); len(selectors) == 1 {
		b.options.LabelSelector = selectors[0]
	}
	if len(names) == 1 && len(b.only) == 1 {
		b.options.FieldSelector = fields.OneTermEqualSelector("metadata.name", names[0]).String()
	}
}

// list lists the objects of a namespace, or all.
func (b *backfill) list(ctx context.Context, namespace string) error {
	r := b.resource
	api := r.collector.open(r.gvr, namespace)
	evaluator := r.newEvaluator()
	evaluator.only = b.only
	options := b.options
	for {
		list, err := api.List(ctx, options)
		if token := restToken(err); token != "" {
			// The rest may be of a newer version: the reflector sees what
			// changes in the part that was listed.
			options.Continue = token
			continue
		}
		if err != nil {
			return err
		}
		page := make([]*extracted, len(list.Items))
		for i := range list.Items {
			page[i] = evaluator.evaluate(&list.Items[i])
			list.Items[i].Object = nil
		}
		if err := b.apply(page); err != nil {
			return err
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// restToken returns the token for the rest of a list whose version expired.
func restToken(err error) string {
	var status apierrors.APIStatus
	if apierrors.IsResourceExpired(err) && errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}

// apply takes in a page.
func (b *backfill) apply(page []*extracted) error {
	r := b.resource
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists != b.lists {
		return errRelisted
	}
	g := merger{index: r.index, covers: b.covers, scratch: r.scratch}
	for _, ex := range page {
		if seen, ok := r.seen[names{ex.namespace, ex.name}]; ok && (seen == 0 || older(ex.number, seen)) {
			continue
		}
		rec := r.index.get(ex.namespace, ex.name)
		if rec == nil && len(ex.found) == 0 || rec != nil && older(ex.number, rec.version) {
			continue
		}
		rec = g.merge(rec, ex)
		rec.version = max(rec.version, ex.number)
	}
	r.scratch = g.scratch
	r.flush(&g.change, nil)
	return nil
}

// covers reports whether the backfill was to find a row of m in ex.
func (b *backfill) covers(m *member, ex *extracted) bool {
	s, ok := b.specs[m]
	return ok && m.spec == s && routed(m, ex)
}

// endBackfill takes in how the backfill went. It returns an error if it is to
// be made again later.
func (r *resource) endBackfill(b *backfill, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
	if errors.Is(err, errRelisted) || errors.Is(err, context.Canceled) {
		return nil
	}
	done := map[*member]struct{}{}
	for m, req := range b.requests {
		if r.requests[m] != req {
			continue // there is another by now
		}
		done[m] = struct{}{}
		if err != nil {
			m.problem = outage(err, r.gvr, "list")
			continue
		}
		delete(r.requests, m)
		m.problem = ""
		m.synced = m.synced || req.everything
	}
	if err != nil {
		r.publish(done)
		return err
	}
	r.sweep(func(_ *record, e entry) bool {
		m := e.spec.member
		_, ok := done[m]
		return !ok || !b.requests[m].everything || e.spec == m.spec || m.frozen
	}, done)
	return nil
}
