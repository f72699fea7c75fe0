package objectstore

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Inventories lists the folders of a cluster, and reads their pointers. A folder
// with data that no pointer names, as an export or Forget that was cut short leaves
// it, counts.
func (s *Store) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	if !partPattern.MatchString(cluster) {
		return nil, nil // there is no folder of that name
	}
	namespaces, err := s.folders(ctx, clusterFolder(cluster), namespacePrefix)
	if err != nil {
		return nil, err
	}
	var refs []inventory.Ref
	for _, namespace := range namespaces {
		names, err := s.folders(ctx, clusterFolder(cluster)+namespacePrefix+namespace+"/", namePrefix)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			of := &inventory.Inventory{Cluster: cluster, Ref: inventory.Ref{Namespace: namespace, Name: name}}
			if namespace == clusterNamespace {
				of.Namespace = ""
			}
			held, err := s.holds(ctx, of)
			if err != nil {
				return nil, err
			}
			if held {
				refs = append(refs, of.Ref)
			}
		}
	}
	return refs, nil
}

// folders returns the rest of the names of the folders in parent that start with
// prefix.
func (s *Store) folders(ctx context.Context, parent, prefix string) ([]string, error) {
	found, err := s.bucket.folders(ctx, s.prefix+parent)
	if err != nil {
		return nil, s.redact.wrap("list", s.prefix+parent, err)
	}
	var names []string
	for _, folder := range found {
		if name, ok := strings.CutPrefix(path.Base(folder), prefix); ok && name != "" {
			names = append(names, name)
		}
	}
	return names, nil
}

// holds reports whether there is something of the inventory.
func (s *Store) holds(ctx context.Context, of *inventory.Inventory) (bool, error) {
	folder, err := folderOf(of)
	if err != nil {
		return false, nil // somebody else's: no inventory has that name
	}
	p, _, err := s.readPointer(ctx, of, folder)
	if err != nil || p != nil && !p.Forgotten {
		return err == nil, err
	}
	generations, err := s.generations(ctx, folder)
	return len(generations) > 0, err
}

// Forget swaps the pointer first, so that no reader sees a part, and removes
// manifests and data then.
func (s *Store) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	folder, err := folderOf(of)
	if err != nil {
		return err
	}
	if generation <= 0 || generation > sink.MaxGeneration || at.IsZero() {
		return fmt.Errorf("forget under generation %d: the generation must be from 1 to %d and the time set", generation, sink.MaxGeneration)
	}
	p, err := s.swapPointer(ctx, of, folder, func(current *pointer) (*pointer, error) {
		switch {
		case current == nil || current.Generation < generation:
			return forgotten(of, generation, at), nil
		case current.Forgotten:
			return current, nil
		}
		return nil, fenced(current)
	})
	if err != nil {
		return err
	}
	if err := s.publish(ctx, p); err != nil {
		return err
	}
	return s.removeUpTo(ctx, folder, p.Generation)
}

// removeUpTo removes what the folder has of the generations up to the last, and
// what exports that did not end have left. Each manifest goes before its data.
func (s *Store) removeUpTo(ctx context.Context, folder string, last int64) error {
	for {
		objects, err := s.objects(ctx, folder)
		if err != nil {
			return err
		}
		keys := leftOf(objects, last)
		for _, key := range keys {
			if err := s.bucket.remove(ctx, s.prefix+folder+key); err != nil {
				return s.redact.wrap("remove", s.prefix+folder+key, err)
			}
		}
		if len(objects) < maxListed || len(keys) == 0 {
			return nil
		}
	}
}

// leftOf returns the keys of what belongs to generations up to the last, and of
// temporary files.
func leftOf(objects []object, last int64) (keys []string) {
	generations, rest, _ := sortOut(objects)
	for _, g := range generations {
		if g.generation > last {
			continue
		}
		keys = append(keys, g.keys()...)
	}
	for _, o := range rest {
		if strings.HasPrefix(path.Base(o.key), temporaryMark) {
			keys = append(keys, o.key)
		}
	}
	return keys
}

func (s *Store) generations(ctx context.Context, folder string) ([]*exported, error) {
	objects, err := s.objects(ctx, folder)
	generations, _, _ := sortOut(objects)
	return generations, err
}

// objects lists what is in a folder, with keys below it, up to maxListed.
func (s *Store) objects(ctx context.Context, folder string) ([]object, error) {
	objects, err := s.bucket.list(ctx, s.prefix+folder, maxListed)
	if err != nil {
		return nil, s.redact.wrap("list", s.prefix+folder, err)
	}
	for i := range objects {
		objects[i].key = strings.TrimPrefix(objects[i].key, s.prefix+folder)
	}
	return objects, nil
}
