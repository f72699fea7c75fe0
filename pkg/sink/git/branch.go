package git

import (
	"context"
	"errors"
	"fmt"

	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// branch is what is known of the branch: where it was when last looked at, and
// trees. Those of a commit never change, so that none is read twice.
type branch struct {
	remote  *remote.Remote
	known   bool
	commit  object.ID // none: there is no such branch, or nothing in it
	root    object.ID
	asked   bool // whether the server selects
	selects bool // it sends single objects
	objects map[object.ID][]byte
	bytes   int
}

// maxCached bounds the bytes of objects that are kept for the next time.
const maxCached = 64 << 20

func newBranch(r *remote.Remote) *branch {
	return &branch{remote: r, objects: map[object.ID][]byte{}}
}

// moveTo has the branch be at a commit, which is read unless it is known.
func (b *branch) moveTo(ctx context.Context, commit object.ID) error {
	if b.known && b.commit == commit {
		return nil
	}
	if commit.IsZero() {
		b.moved(commit, object.ID{})
		return nil
	}
	err := b.ask(ctx)
	if err != nil {
		return err
	}
	if b.selects {
		err = b.fetch(ctx, remote.Wanted{IDs: []object.ID{commit}, Depth: 1, NoBlobs: true})
	} else {
		b.objects, b.bytes = map[object.ID][]byte{}, 0
		err = b.add(b.remote.FetchAll(ctx, commit, looksLikeManifest))
	}
	if err != nil {
		b.asked = false // it may be another server now
		return err
	}
	root, err := object.TreeOf(b.objects[commit])
	if err != nil {
		return fmt.Errorf("read commit %s: %w", commit, err)
	}
	b.bytes -= len(b.objects[commit])
	delete(b.objects, commit)
	b.moved(commit, root)
	return nil
}

// ask finds out what the server can do, which it says in a conversation of its own.
func (b *branch) ask(ctx context.Context) (err error) {
	if !b.asked {
		b.selects, err = b.remote.Selects(ctx)
		b.asked = err == nil
	}
	return err
}

// moved notes where the branch is.
func (b *branch) moved(commit, root object.ID) { b.known, b.commit, b.root = true, commit, root }

func (b *branch) fetch(ctx context.Context, wanted remote.Wanted) error {
	return b.add(b.remote.Fetch(ctx, wanted))
}

func (b *branch) add(objects map[object.ID][]byte, err error) error {
	if err != nil {
		return err
	}
	for id, data := range objects {
		b.put(id, data)
	}
	return nil
}

func (b *branch) put(id object.ID, data []byte) {
	if _, ok := b.objects[id]; !ok {
		b.objects[id] = data
		b.bytes += len(data)
	}
}

// trim makes room if there are too many objects: what is needed is fetched again.
func (b *branch) trim() {
	if b.bytes > maxCached {
		b.objects, b.bytes = map[object.ID][]byte{}, 0
		b.known = b.known && b.selects // or all of the commit is read again
	}
}

// load has the objects at hand, each without what is below it. Those that the server
// does not send alone came with the commit.
func (b *branch) load(ctx context.Context, ids ...object.ID) error {
	if !b.selects {
		return nil
	}
	const most = 1000 // of a request
	for len(ids) > 0 {
		var missing []object.ID
		for len(ids) > 0 && len(missing) < most {
			if _, ok := b.objects[ids[0]]; !ok {
				missing = append(missing, ids[0])
			}
			ids = ids[1:]
		}
		if len(missing) == 0 {
			return nil
		}
		if err := b.fetch(ctx, remote.Wanted{IDs: missing, Depth: 1}); err != nil {
			return err
		}
	}
	return nil
}

// read returns an object.
func (b *branch) read(ctx context.Context, id object.ID) ([]byte, error) {
	if err := b.load(ctx, id); err != nil {
		return nil, fmt.Errorf("fetch %s: %w", id, err)
	}
	data, ok := b.objects[id]
	if !ok {
		return nil, fmt.Errorf("fetch %s: %w", id, errNotSent)
	}
	return data, nil
}

// errNotSent says that the server left out an object, which it does with a file that
// is too large.
var errNotSent = errors.New("the server did not send it")

// tree returns the entries of a tree; those of none: none.
func (b *branch) tree(ctx context.Context, id object.ID) ([]object.Entry, error) {
	if id.IsZero() {
		return nil, nil
	}
	data, err := b.read(ctx, id)
	if err != nil {
		return nil, err
	}
	return object.ParseTree(data)
}

// below has all trees at hand that are below one, and itself.
func (b *branch) below(ctx context.Context, id object.ID) error {
	if !b.selects || b.complete(id) {
		return nil
	}
	return b.fetch(ctx, remote.Wanted{IDs: []object.ID{id}, NoBlobs: true})
}

// complete reports whether all trees below one are at hand.
func (b *branch) complete(id object.ID) bool {
	data, ok := b.objects[id]
	if !ok {
		return false
	}
	entries, err := object.ParseTree(data)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.IsTree() && !b.complete(e.ID) {
			return false
		}
	}
	return true
}
