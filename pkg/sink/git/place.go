package git

import (
	"context"
	"errors"
	"fmt"
	"path"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
)

// place is what a commit has of an inventory.
type place struct {
	commit  object.ID
	folders []string
	// trees are the entries of the root and of each of the folders; none: it is not
	// there.
	trees    [][]object.Entry
	manifest *manifest // nil: there is none
}

func (p *place) name() string { return path.Join(p.folders...) }

// entries of the inventory's own folder.
func (p *place) entries() []object.Entry { return p.trees[len(p.folders)] }

// tree returns the folder of that name in the inventory's own.
func (p *place) tree(name string) object.ID {
	if e, ok := object.Find(p.entries(), name); ok && e.IsTree() {
		return e.ID
	}
	return object.ID{}
}

// place reads what the branch has where it is.
func (s *Store) place(ctx context.Context, of *inventory.Inventory) (*place, error) {
	p := &place{commit: s.branch.commit, folders: s.template.folderOf(of)}
	id := s.branch.root
	for depth := 0; ; depth++ {
		entries, err := s.branch.tree(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read folder %q: %w", path.Join(p.folders[:depth]...), err)
		}
		p.trees = append(p.trees, entries)
		if depth == len(p.folders) {
			break
		}
		e, ok := object.Find(entries, p.folders[depth])
		if ok && !e.IsTree() {
			return nil, sink.Permanent(fmt.Errorf("%s is not a folder: remove it from the branch, or give the sink another spec.git.pathTemplate", path.Join(p.folders[:depth+1]...)))
		}
		id = e.ID // none if it is not there
	}
	return p, s.readManifest(ctx, p, of)
}

func (s *Store) readManifest(ctx context.Context, p *place, of *inventory.Inventory) error {
	e, ok := object.Find(p.entries(), manifestName)
	if !ok {
		return nil
	}
	m, err := s.manifestAt(ctx, e.ID)
	switch {
	case err != nil && !errors.Is(err, errForeign):
		return err
	case err != nil:
		return sink.Permanent(fmt.Errorf("%s/%s: %w: restore it, or remove it from the branch to export anew", p.name(), manifestName, err))
	case !m.of(of):
		return sink.Permanent(fmt.Errorf("%s/%s is that of inventory %s of cluster %s: have {cluster}, {namespace} and {inventory} in spec.git.pathTemplate, with a slash between",
			p.name(), manifestName, inventory.Ref{Namespace: m.Namespace, Name: m.Name}, m.Cluster))
	case !m.Forgotten && (m.Layout != s.layout || m.Format != s.format):
		return sink.Permanent(fmt.Errorf("spec.git: %s is kept as layout %s in format %s by another sink, or by this one before: give this sink another spec.git.pathTemplate, or remove the folder from the branch",
			p.name(), m.Layout, m.Format))
	}
	p.manifest = m
	return nil
}

// errForeign says that a manifest is not one.
var errForeign = errors.New("not a manifest that Kollect wrote")

func (s *Store) manifestAt(ctx context.Context, id object.ID) (*manifest, error) {
	data, err := s.branch.read(ctx, id)
	if errors.Is(err, errNotSent) {
		return nil, errForeign
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	return m, nil
}

// owned are the names in the folder of an inventory that the store writes.
func owned(layout, format string) []string {
	if layout == perResource {
		return []string{resourcesName, manifestName}
	}
	return []string{documentName + "." + format, manifestName}
}

// refuseForeign is for a folder without a manifest: what has the names that the
// store would write is not the store's.
func (s *Store) refuseForeign(p *place) error {
	if p.manifest != nil && !p.manifest.Forgotten {
		return nil
	}
	for _, name := range owned(s.layout, s.format) {
		if _, ok := object.Find(p.entries(), name); ok && name != manifestName {
			return sink.Permanent(fmt.Errorf("%s/%s is there, and not by Kollect: move it away, or give the sink another spec.git.pathTemplate", p.name(), name))
		}
	}
	return nil
}
