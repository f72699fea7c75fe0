package git

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/git/object"
)

// Forget takes the files away and leaves a manifest that fences. The history of the
// branch stays.
func (s *Store) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	if err := check(generation, at); err != nil {
		return fmt.Errorf("forget under %w", err)
	}
	m := &manifest{
		APIVersion: format.APIVersion, Kind: manifestKind, Cluster: of.Cluster, Namespace: of.Namespace, Name: of.Name,
		Generation: generation, ExportedAt: at.UTC().Truncate(time.Millisecond), Forgotten: true,
	}
	err := s.update(ctx, of, func(p *place) (*change, error) {
		err := fence(p, generation)
		switch {
		case err != nil && p.manifest.Forgotten:
			return nil, nil // a commit is whole: nothing is left to do
		case err != nil:
			return nil, err
		}
		c := &change{subject: fmt.Sprintf("Forget %s of %s", of.Ref, of.Cluster), manifest: m}
		if p.manifest != nil && !p.manifest.Forgotten {
			for _, name := range owned(p.manifest.Layout, p.manifest.Format) {
				c.files = append(c.files, object.Entry{Name: name})
			}
		}
		return c, nil
	})
	return s.explain("remove the inventory", err)
}

// Inventories walks the folders that the template can name.
func (s *Store) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	refs, err := s.inventories(ctx, cluster)
	return refs, s.explain("list inventories", err)
}

func (s *Store) inventories(ctx context.Context, cluster string) (refs []inventory.Ref, err error) {
	err = s.current(ctx, func() error {
		refs, err = s.listed(ctx, cluster)
		return err
	})
	return refs, err
}

// listed returns the inventories of a cluster that the branch holds where it is.
func (s *Store) listed(ctx context.Context, cluster string) (refs []inventory.Ref, err error) {
	if s.branch.root.IsZero() {
		return nil, nil
	}
	folders := []object.ID{s.branch.root}
	for _, segment := range s.template {
		if folders, err = s.step(ctx, folders, segment, cluster); err != nil {
			return nil, err
		}
	}
	manifests, err := s.manifests(ctx, folders)
	if err != nil {
		return nil, err
	}
	for _, id := range manifests {
		m, err := s.manifestAt(ctx, id)
		switch {
		case errors.Is(err, errForeign):
		case err != nil:
			return nil, err
		case m.Cluster == cluster && !m.Forgotten:
			refs = append(refs, inventory.Ref{Namespace: m.Namespace, Name: m.Name})
		}
	}
	return refs, nil
}

// step returns the folders in folders that a segment of the template can name.
func (s *Store) step(ctx context.Context, folders []object.ID, of segment, cluster string) (below []object.ID, err error) {
	name, certain := of.expand(func(placeholder string) (string, bool) { return safeName(cluster), placeholder == "cluster" })
	for _, folder := range folders {
		entries, err := s.branch.tree(ctx, folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsTree() && (!certain || e.Name == name) {
				below = append(below, e.ID)
			}
		}
	}
	return below, s.branch.load(ctx, below...)
}

// manifests returns those that the folders have.
func (s *Store) manifests(ctx context.Context, folders []object.ID) (ids []object.ID, err error) {
	for _, folder := range folders {
		entries, err := s.branch.tree(ctx, folder)
		if err != nil {
			return nil, err
		}
		if e, ok := object.Find(entries, manifestName); ok {
			ids = append(ids, e.ID)
		}
	}
	return ids, s.branch.load(ctx, ids...)
}
