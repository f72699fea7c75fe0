package objectstore

import (
	"context"
	"slices"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

var _ sink.Pruner = (*Store)(nil)

// Plan returns what retention would make of what is there now. Without a retention
// everything is kept.
func (s *Store) Plan(ctx context.Context, of *inventory.Inventory) ([]sink.Planned, error) {
	folder, err := folderOf(of)
	if err != nil {
		return nil, err
	}
	verdicts, err := s.verdicts(ctx, of, folder)
	if err != nil {
		return nil, err
	}
	planned := make([]sink.Planned, len(verdicts))
	for i, v := range verdicts {
		planned[i] = sink.Planned{Generation: v.generation, Time: v.modified, Keep: v.keep, Reason: v.reason}
	}
	return planned, nil
}

// Prune removes those of the generations that a plan of now would remove.
func (s *Store) Prune(ctx context.Context, of *inventory.Inventory, generations []int64) error {
	folder, err := folderOf(of)
	if err != nil {
		return err
	}
	verdicts, err := s.verdicts(ctx, of, folder)
	if err != nil {
		return err
	}
	for _, v := range slices.Backward(verdicts) {
		if v.keep || !slices.Contains(generations, v.generation) {
			continue
		}
		for _, key := range v.keys() {
			if err := s.bucket.remove(ctx, s.prefix+folder+key); err != nil {
				return s.redact.wrap("remove", s.prefix+folder+key, err)
			}
		}
	}
	return nil
}

// verdicts reads what is in use first: both only rise, so that what is older stays
// out of use whatever is exported meanwhile.
func (s *Store) verdicts(ctx context.Context, of *inventory.Inventory, folder string) ([]verdict, error) {
	p, _, err := s.readPointer(ctx, of, folder)
	if err != nil {
		return nil, err
	}
	l, _, err := s.readList(ctx, of.Cluster)
	if err != nil {
		return nil, err
	}
	var used inUse
	if p != nil {
		used.current = p.Generation
	}
	if i := slices.IndexFunc(l.Inventories, func(e listed) bool { return e.ref() == of.Ref }); i >= 0 {
		used.listed = l.Inventories[i].Generation
	}
	objects, err := s.objects(ctx, folder)
	if err != nil {
		return nil, err
	}
	seen := listing{objects: objects, truncated: len(objects) >= maxListed}
	if s.retention != nil {
		return judge(seen, used, *s.retention, s.minAge), nil
	}
	verdicts := judge(seen, used, kollectv1alpha1.Retention{}, s.minAge)
	for i := range verdicts {
		if !verdicts[i].keep {
			verdicts[i].keep, verdicts[i].reason = true, isAnyway
		}
	}
	return verdicts, nil
}
