package git

import (
	"context"
	"fmt"
	"strings"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/git/object"
)

// keyLength is how much of a row's key is in the name of its file: 50 bits, to tell
// rows of one name, resource and namespace apart, which are few.
const keyLength = 10

// filesOf knows which file a row is in. It keeps the names of folders, which many
// rows have in common.
type filesOf struct {
	extension string
	folders   map[folderKey]string
}

type folderKey struct {
	namespace string
	resource  *inventory.Resource
}

func (f *filesOf) folder(row *inventory.Row) string {
	k := folderKey{row.Namespace(), row.Resource()}
	folder, ok := f.folders[k]
	if !ok {
		name := k.resource.Resource
		if k.resource.Group != "" {
			name += "." + k.resource.Group
		}
		folder = namespaceFolder(k.namespace) + "/" + safeName(name)
		f.folders[k] = folder
	}
	return folder
}

func (f *filesOf) name(e *inventory.Entry) string {
	return safeName(e.Row.Name()) + "." + e.Key.String()[:keyLength] + "." + f.extension
}

// edits are what changes in a folder and below: files without an ID go.
type edits struct {
	files   map[string]object.ID
	folders map[string]*edits
}

func newEdits() *edits { return &edits{files: map[string]object.ID{}, folders: map[string]*edits{}} }

// at returns the edits of a folder below.
func (e *edits) at(folder string) *edits {
	for name := range strings.SplitSeq(folder, "/") {
		if name == "" {
			continue
		}
		below := e.folders[name]
		if below == nil {
			below = newEdits()
			e.folders[name] = below
		}
		e = below
	}
	return e
}

// makeResources adds what differs from base to the pack, and returns the tree of all
// rows.
func (s *Store) makeResources(ctx context.Context, m *made, snapshot *inventory.Snapshot) (object.ID, error) {
	r := &resources{store: s, pack: m.pack, files: filesOf{s.format, map[folderKey]string{}}, edits: newEdits(), of: snapshot.Inventory()}
	s.mu.Lock()
	last := s.last[nameOf(r.of)]
	s.mu.Unlock()
	var err error
	if last != nil && last.tree == m.base {
		err = r.changes(ctx, last.snapshot, snapshot)
	} else {
		err = r.all(ctx, m.base, snapshot)
	}
	if err != nil {
		return object.ID{}, err
	}
	if err := s.lock(ctx); err != nil {
		return object.ID{}, err
	}
	defer s.unlock()
	return r.apply(ctx, m.base, r.edits)
}

// resources makes the tree of the rows of an inventory.
type resources struct {
	store *Store
	pack  *object.Pack
	files filesOf
	edits *edits
	of    *inventory.Inventory
	row   []byte // to be used again
	text  []byte
}

// changes edits what differs between two snapshots.
func (r *resources) changes(ctx context.Context, before, after *inventory.Snapshot) error {
	for change := range inventory.Diff(before, after) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if change.Before.Row != nil {
			e := r.edits.at(r.files.folder(change.Before.Row))
			name := r.files.name(&change.Before)
			if _, ok := e.files[name]; !ok { // or what comes in its place was first
				e.files[name] = object.ID{}
			}
		}
		if change.After.Row != nil {
			data := r.encode(&change.After)
			id, err := r.pack.Add(object.Blob, data)
			if err != nil {
				return err
			}
			r.edits.at(r.files.folder(change.After.Row)).files[r.files.name(&change.After)] = id
		}
	}
	return nil
}

// all edits what differs between what is held and the snapshot.
func (r *resources) all(ctx context.Context, base object.ID, snapshot *inventory.Snapshot) error {
	held, err := r.held(ctx, base)
	if err != nil {
		return err
	}
	n := 0
	for e := range snapshot.Entries() {
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		folder := r.files.folder(e.Row)
		name := r.files.name(e)
		data := r.encode(e)
		id := object.Sum(object.Blob, data)
		there := held[folder][name]
		delete(held[folder], name)
		edit := r.edits.at(folder)
		if other, ok := edit.files[name]; ok && other != id {
			return fmt.Errorf("two rows would be in the file %s/%s", folder, name)
		}
		if there == id {
			continue
		}
		if err := r.pack.AddAs(object.Blob, data); err != nil {
			return err
		}
		edit.files[name] = id
	}
	for folder, files := range held {
		for name := range files {
			r.edits.at(folder).files[name] = object.ID{}
		}
	}
	return nil
}

// held returns the files that are there, by folder.
func (r *resources) held(ctx context.Context, base object.ID) (map[string]map[string]object.ID, error) {
	held := map[string]map[string]object.ID{}
	if base.IsZero() {
		return held, nil
	}
	if err := r.store.lock(ctx); err != nil {
		return nil, err
	}
	defer r.store.unlock()
	if err := r.store.branch.below(ctx, base); err != nil {
		return nil, err
	}
	return held, r.walk(ctx, "", base, held)
}

func (r *resources) walk(ctx context.Context, folder string, tree object.ID, held map[string]map[string]object.ID) error {
	entries, err := r.store.branch.tree(ctx, tree)
	if err != nil {
		return err
	}
	files := map[string]object.ID{}
	for _, e := range entries {
		if !e.IsTree() {
			files[e.Name] = e.ID
		} else if err := r.walk(ctx, strings.TrimPrefix(folder+"/"+e.Name, "/"), e.ID, held); err != nil {
			return err
		}
	}
	if len(files) > 0 {
		held[folder] = files
	}
	return nil
}

// encode returns the file of a row, which is good until the next call.
func (r *resources) encode(e *inventory.Entry) []byte {
	r.row = format.AppendRow(r.row[:0], r.of, e)
	if r.store.format == "yaml" {
		r.text = appendYAML(r.text[:0], r.row)
	} else {
		r.text = append(appendIndented(r.text[:0], r.row, ""), '\n')
	}
	return r.text
}

// apply returns the tree that the edits make of one; no ID: nothing is left of it.
// New trees are added to the pack.
func (r *resources) apply(ctx context.Context, tree object.ID, e *edits) (object.ID, error) {
	old, err := r.store.branch.tree(ctx, tree)
	if err != nil {
		return object.ID{}, err
	}
	entries := make([]object.Entry, 0, len(old)+len(e.files)+len(e.folders))
	held := map[string]object.ID{} // folders with edits
	for _, entry := range old {
		_, replaced := e.files[entry.Name]
		if _, edited := e.folders[entry.Name]; edited && entry.IsTree() {
			held[entry.Name] = entry.ID
		} else if !replaced {
			entries = append(entries, entry)
		}
	}
	for name, below := range e.folders {
		id, err := r.apply(ctx, held[name], below)
		if err != nil {
			return object.ID{}, err
		}
		if !id.IsZero() {
			entries = append(entries, object.Entry{Mode: object.ModeTree, Name: name, ID: id})
		}
	}
	for name, id := range e.files {
		if !id.IsZero() {
			entries = append(entries, object.Entry{Mode: object.ModeFile, Name: name, ID: id})
		}
	}
	if len(entries) == 0 {
		return object.ID{}, nil
	}
	data := object.EncodeTree(entries)
	id := object.Sum(object.Tree, data)
	if id == tree {
		return id, nil
	}
	r.store.branch.put(id, data)
	return id, r.pack.AddAs(object.Tree, data)
}
