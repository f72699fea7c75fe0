package access

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/inventory"
)

const (
	// forget is after how long without rows a partition is no longer asked about.
	// The store's history is shorter.
	forget = 15 * time.Minute
	// batch is how many denials are asked about before a look at the clock.
	batch = 256
)

// round is one time that a caller's rights are asked about.
type round struct {
	caller  *Caller
	old     *Table
	state   *inventory.State
	again   bool // old answers too
	table   *Table
	answers map[inventory.Partition]bool // of resources that are not allowed as a whole
	changed bool
	err     error // why some question has no answer
}

// ask returns the table that follows old, which is nil for a new caller. Its
// since is 0 if rights have changed. If the time is over, or the authorizer fails,
// what is not answered is not known, and there is none.
func (c *Caller) ask(ctx context.Context, old *Table) (*Table, error) {
	start := time.Now()
	r := &round{caller: c, old: old, state: c.tables.store.State(), answers: map[inventory.Partition]bool{}}
	r.again = old == nil || c.tables.expired(old)
	limited := ctx
	if old == nil {
		r.old, r.changed = &Table{}, true
	} else {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.tables.options.Deadline)
		defer cancel()
	}
	r.table = &Table{
		number: r.state.PartitionNumber(), checked: r.old.checked,
		wide: maps.Clone(r.old.wide), absent: map[inventory.Partition]time.Time{}, position: r.old.position,
	}
	if r.again {
		r.table.checked = start
	}
	r.askWide(limited)
	r.askPartitions(limited)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.err != nil && limited.Err() != nil {
		c.entry.table.Store(nil) // the next request asks for as long as it takes
		return nil, unavailable("the authorizer takes too long to say what the caller may list")
	}
	if r.err != nil {
		klog.FromContext(ctx).Error(r.err, "Could not ask what a caller may list", "user", c.user.GetName())
		return nil, unavailable("the authorizer could not be asked what the caller may list")
	}
	if r.again && old != nil {
		r.askDenied(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

func (r *round) finish() *Table {
	t := r.table
	for p, allowed := range r.answers {
		if allowed {
			t.allowed = append(t.allowed, p)
		}
	}
	slices.SortFunc(t.allowed, inventory.Partition.Compare)
	if !r.changed {
		t.since = r.old.since
	}
	return t
}

// askWide asks about resources in all namespaces at once.
func (r *round) askWide(ctx context.Context) {
	var questions []inventory.Partition
	known := func(resource schema.GroupResource) bool {
		_, known := r.old.wide[resource]
		return known
	}
	if r.again {
		for resource := range r.old.wide {
			questions = append(questions, inventory.Partition{Group: resource.Group, Resource: resource.Resource})
		}
	}
	for p, ok := r.state.NextResource("", ""); ok; p, ok = r.state.NextResource(p.Group, p.Resource) {
		if !known(resourceOf(p)) {
			questions = append(questions, inventory.Partition{Group: p.Group, Resource: p.Resource})
		}
	}
	if r.table.wide == nil {
		r.table.wide = map[schema.GroupResource]bool{}
	}
	answers, errs := r.caller.questions(ctx, questions)
	r.fail(errs)
	for i, allowed := range answers {
		resource := resourceOf(questions[i])
		r.changed = r.changed || known(resource) && allowed != r.old.wide[resource]
		r.table.wide[resource] = allowed
	}
}

// askPartitions asks about partitions that appeared, and again about those that
// were allowed.
func (r *round) askPartitions(ctx context.Context) {
	var questions []inventory.Partition
	for _, p := range r.old.allowed {
		switch {
		case r.table.wide[resourceOf(p)] || !r.remember(p):
		case r.again:
			questions = append(questions, p)
		default:
			r.answers[p] = true
		}
	}
	were := len(questions)
	for p := range r.state.PartitionsAfter(r.old.number) {
		// One that appeared again may be among those that were allowed.
		if !r.table.wide[resourceOf(p)] && !r.old.Allows(p) {
			questions = append(questions, p)
		}
	}
	for resource, allowed := range r.old.wide {
		if !allowed || r.table.wide[resource] {
			continue
		}
		p, ok := r.state.PartitionFrom(resource.Group, resource.Resource, "")
		for ; ok && resourceOf(p) == resource; p, ok = r.state.NextPartition(p) {
			questions = append(questions, p)
		}
	}
	answers, errs := r.caller.questions(ctx, questions)
	r.fail(errs)
	for i, allowed := range answers {
		r.answers[questions[i]] = allowed
		r.changed = r.changed || !allowed && i < were
	}
}

// remember reports whether a partition that was allowed is still of interest.
func (r *round) remember(p inventory.Partition) bool {
	if r.state.HasPartition(p) {
		return true
	}
	since, known := r.old.absent[p]
	if !known {
		since = time.Now()
	}
	r.table.absent[p] = since
	if time.Since(since) < forget {
		return true
	}
	delete(r.table.absent, p)
	return false
}

// askDenied asks again about what was denied, beginning with what was not asked
// about for the longest time, for as long as the budget allows.
func (r *round) askDenied(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.caller.tables.options.Budget)
	defer cancel()
	questions := make([]inventory.Partition, 0, batch)
	for p := range r.state.Partitions(r.old.position) {
		if _, asked := r.answers[p]; asked || r.table.wide[resourceOf(p)] {
			continue
		}
		if questions = append(questions, p); len(questions) < batch {
			continue
		}
		if !r.askBatch(ctx, questions) {
			return
		}
		questions = questions[:0]
	}
	r.askBatch(ctx, questions)
}

// askBatch asks about partitions that were denied, and reports whether to go on.
func (r *round) askBatch(ctx context.Context, questions []inventory.Partition) bool {
	answers, errs := r.caller.questions(ctx, questions)
	for i, allowed := range answers {
		if allowed {
			r.answers[questions[i]], r.changed = true, true
		}
	}
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i >= 0 {
		questions = questions[:i] // what is not answered is the first next time
	}
	if len(questions) > 0 {
		r.table.position = questions[len(questions)-1]
	}
	return i < 0 && ctx.Err() == nil
}

// fail notes that questions had no answer, if some had none.
func (r *round) fail(errs []error) {
	for _, err := range errs {
		if err != nil {
			r.err = err
		}
	}
}

// questions asks about partitions, those without a namespace standing for all
// namespaces, and returns for each whether it is allowed, and why that is not
// known.
func (c *Caller) questions(ctx context.Context, partitions []inventory.Partition) (allowed []bool, errs []error) {
	allowed = make([]bool, len(partitions))
	errs = make([]error, len(partitions))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(partitions), c.tables.options.PerCaller) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(partitions)); i = next.Add(1) - 1 {
				allowed[i], errs[i] = c.may(ctx, partitions[i])
			}
		})
	}
	workers.Wait()
	return allowed, errs
}

// may asks whether the caller may list all objects of a partition.
func (c *Caller) may(ctx context.Context, p inventory.Partition) (bool, error) {
	select {
	case c.tables.slots <- struct{}{}:
		defer func() { <-c.tables.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	decision, _, err := c.tables.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: c.user, Verb: "list", APIGroup: p.Group, APIVersion: "*", Resource: p.Resource, Namespace: p.Namespace,
		ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow, err
}
