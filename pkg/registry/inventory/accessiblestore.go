package inventory

import (
	"context"

	"k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/registry/access"
)

// accessible serves each caller the rows that it may see. What was read with
// other rights is never continued or followed: versions from before the caller's
// rights changed are expired.
type accessible struct {
	*store[accessibleRow]
	tables *access.Tables
}

var (
	_ rest.Getter         = &accessible{}
	_ rest.Lister         = &accessible{}
	_ rest.Watcher        = &accessible{}
	_ rest.TableConvertor = &accessible{}
)

func newAccessible(s *inventory.Store, tables *access.Tables, json runtime.Identifier) *accessible {
	return &accessible{newStore[accessibleRow](s, accessibleRows{}, json), tables}
}

// as returns the store as it is with the rights of a table.
func (a *accessible) as(table *access.Table) *store[accessibleRow] {
	bound := *a.store
	bound.kind = accessibleRows{table}
	return &bound
}

func (a *accessible) caller(ctx context.Context) (*access.Caller, error) {
	user, ok := request.UserFrom(ctx)
	if !ok {
		return nil, errors.NewUnauthorized("it is not known whose rows to show")
	}
	return a.tables.Caller(user), nil
}

// state returns what take returns, and the caller's rights in it. If they have
// changed meanwhile it takes another.
func (a *accessible) state(ctx context.Context, caller *access.Caller, take func() (*inventory.State, error)) (*inventory.State, *access.Table, error) {
	for {
		state, err := take()
		if err != nil {
			return nil, nil, err
		}
		table, err := caller.Table(ctx)
		if err != nil {
			return nil, nil, err
		}
		if state.Version >= table.Since() {
			return state, table, nil
		}
	}
}

// Get returns the named row. What the caller may not see is not found.
func (a *accessible) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	version, err := minimumOf(options)
	if err != nil {
		return nil, err
	}
	caller, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	state, table, err := a.state(ctx, caller, func() (*inventory.State, error) { return a.fresh(ctx, version) })
	if err != nil {
		return nil, err
	}
	return a.as(table).get(ctx, state, name)
}

// List returns the rows that are selected and that the caller may see.
func (a *accessible) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	selected := newSelection(ctx, options)
	page, err := newPage(selected, a.kind.names().scope, options)
	if err != nil {
		return nil, err
	}
	caller, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	state, table, err := a.stateOf(ctx, caller, page)
	if err != nil {
		return nil, err
	}
	result, err := a.as(table).listOf(ctx, state, selected, page)
	if err != nil {
		return nil, err
	}
	a.store.store.Hold(state)
	return result, nil
}

// stateOf returns the state that the page is of, if it is of the caller's rights.
func (a *accessible) stateOf(ctx context.Context, caller *access.Caller, p *page) (*inventory.State, *access.Table, error) {
	made := p.version
	if p.from != "" && made == 0 { // a token of ours to go on in the newest state
		made = p.inconsistentSince()
	} else if made == 0 {
		return a.state(ctx, caller, func() (*inventory.State, error) { return a.fresh(ctx, p.minimum) })
	}
	newest := a.store.store.State()
	table, err := caller.Table(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case made < table.Since() || p.from != "" && made > newest.Version:
		return nil, nil, errors.NewResourceExpired(listExpired)
	case p.version == 0:
		return a.state(ctx, caller, func() (*inventory.State, error) { return a.fresh(ctx, 0) })
	}
	state, err := a.store.stateOf(ctx, p)
	if p.from != "" && errors.IsResourceExpired(err) {
		err = p.expiredSince(-int64(table.Since()))
	}
	return state, table, err
}

// inconsistentSince returns since when the rights were what they were when the
// token was made, or 0 if it does not say.
func (p *page) inconsistentSince() uint64 {
	_, version, err := storage.DecodeContinue(p.options.Predicate.Continue, p.prefix)
	if err != nil || version >= 0 {
		return 0
	}
	return uint64(-version)
}

// Watch returns the changes of the rows that are selected and that the caller may
// see. It ends with an error when the caller's rights change.
func (a *accessible) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	start, err := newStart(options)
	if err != nil {
		return nil, err
	}
	caller, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	var state *inventory.State
	var table *access.Table
	if start.version != 0 && !start.initial {
		state = a.store.store.State()
		table, err = caller.Table(ctx)
	} else {
		state, table, err = a.state(ctx, caller, func() (*inventory.State, error) { return a.stateFor(ctx, start) })
	}
	if err == nil && start.version != 0 && !start.initial && start.version < table.Since() {
		err = rightsChanged()
	}
	if err != nil {
		return failed(err), nil
	}
	return a.as(table).watch(ctx, options, start, state, a.renewal(caller, table, newSelection(ctx, options)))
}

// renewal returns a function that returns what the watch may see now, or an error
// if that is something else than before.
func (a *accessible) renewal(caller *access.Caller, table *access.Table, selected *selection) func(context.Context) (func(accessibleRow) bool, error) {
	since := table.Since()
	matches := accessibleRows{table}.matcher(selected)
	return func(ctx context.Context) (func(accessibleRow) bool, error) {
		now, err := caller.Table(ctx)
		switch {
		case err != nil:
			return nil, err
		case now.Since() != since:
			return nil, rightsChanged()
		case now != table:
			table, matches = now, accessibleRows{now}.matcher(selected)
		}
		return matches, nil
	}
}

func rightsChanged() error {
	return errors.NewResourceExpired("what the caller may list has changed: list again")
}
