package objectstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

const (
	// maxListed is above what any retention keeps: 10,000 newest, 8,784 hours and
	// 3,660 days, with a manifest each. Of a longer list the rest has to wait: what
	// should be kept is kept whatever part of it is seen.
	maxListed = 60_000
	// maxRemoved bounds what one export spends on retention.
	maxRemoved = 1_000
)

// retain removes what the sink's retention does not keep. It runs after the
// pointer has moved to generation, and at most six times in what every
// generation lives: there is nothing to remove in between. What it fails to do
// is logged, and done by one of the next exports.
func (s *Store) retain(ctx context.Context, folder string, generation int64) {
	if s.retention == nil || !s.due(folder) {
		return
	}
	logger := klog.FromContext(ctx)
	objects, err := s.objects(ctx, folder)
	if err != nil {
		logger.Error(err, "Cannot list old generations", "folder", s.prefix+folder)
		return
	}
	removed := 0
	seen := listing{objects: objects, truncated: len(objects) >= maxListed}
	for _, key := range expired(seen, generation, *s.retention, s.minAge) {
		if removed == maxRemoved || ctx.Err() != nil {
			break
		}
		if err := s.bucket.remove(ctx, s.prefix+folder+key); err != nil {
			logger.Error(s.redact.error(err), "Cannot remove an old generation", "key", s.prefix+folder+key)
			return
		}
		removed++
	}
	if removed > 0 {
		logger.V(2).Info("Removed old generations", "folder", s.prefix+folder, "objects", removed)
	}
}

// due reports whether retention should run in the folder, and notes that it did.
func (s *Store) due(folder string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if last, ok := s.retained[folder]; ok && now.Sub(last) < s.minAge/6 {
		return false
	}
	s.retained[folder] = now
	return true
}

// listing is what is seen of a folder; truncated says that there may be more.
type listing struct {
	objects   []object
	truncated bool
}

// exported is what a folder has of one generation.
type exported struct {
	generation     int64
	data, manifest string // keys
	modified       time.Time
	// replaced is when the next complete one took its place, or else modified.
	replaced time.Time
}

// complete reports whether the generation was exported as a whole. A manifest is
// written last and removed first, so that where data may be out of sight it says
// so alone.
func (e *exported) complete(truncated bool) bool {
	return e.manifest != "" && (e.data != "" || truncated)
}

// expired returns the keys, below the folder, of the objects to remove, in the
// order in which to do so: a manifest goes before its data. It is given what is
// in the folder and the generation that is current.
//
// Kept are the newest generations, the last of each hour and of each day as far
// back as retention says, what is newer than current, and all that was current
// less than minAge ago, however long it had been. Ages are taken by the
// destination's clock, whose newest time is that of the export just made.
// Generations without data or manifest, left by an export that did not end, are
// not kept for later, unless the other half may be out of sight.
func expired(seen listing, current int64, retention kollectv1alpha1.Retention, minAge time.Duration) []string {
	generations, rest, now := sortOut(seen.objects)
	keep := map[int64]bool{}
	hours, days := map[time.Time]bool{}, map[time.Time]bool{}
	newer, replaced := 0, time.Time{} // complete ones, and when the last of them came
	for _, g := range generations {   // newest first
		complete := g.complete(seen.truncated)
		if !complete && !seen.truncated {
			continue
		}
		if replaced.After(g.replaced) {
			g.replaced = replaced
		}
		if complete {
			replaced = g.modified
		}
		if g.generation > current {
			continue
		}
		age := now.Sub(g.modified)
		hour, day := g.modified.UTC().Truncate(time.Hour), g.modified.UTC().Truncate(24*time.Hour)
		keep[g.generation] = newer < max(int(retention.Keep), 1) ||
			age < time.Duration(retention.Hourly)*time.Hour && !hours[hour] ||
			age < time.Duration(retention.Daily)*24*time.Hour && !days[day]
		if complete { // others take nobody's place
			newer++
			hours[hour], days[day] = true, true
		}
	}
	var keys []string
	for _, g := range slices.Backward(generations) {
		if keep[g.generation] || g.generation >= current || now.Sub(g.replaced) < minAge {
			continue
		}
		for _, key := range []string{g.manifest, g.data} {
			if key != "" {
				keys = append(keys, key)
			}
		}
	}
	for _, o := range rest {
		if strings.HasPrefix(o.key[strings.LastIndexByte(o.key, '/')+1:], temporaryMark) && now.Sub(o.modified) >= minAge {
			keys = append(keys, o.key)
		}
	}
	return keys
}

// sortOut returns the generations among the objects, newest first, the other
// objects, and the newest time of all.
func sortOut(objects []object) (generations []*exported, rest []object, now time.Time) {
	byNumber := map[int64]*exported{}
	for _, o := range objects {
		if o.modified.After(now) {
			now = o.modified
		}
		number, isManifest, ok := generationOf(o.key)
		if !ok {
			rest = append(rest, o)
			continue
		}
		g := byNumber[number]
		if g == nil {
			g = &exported{generation: number}
			byNumber[number] = g
			generations = append(generations, g)
		}
		if isManifest {
			g.manifest = o.key
		} else {
			g.data = o.key
		}
		if o.modified.After(g.modified) {
			g.modified, g.replaced = o.modified, o.modified
		}
	}
	slices.SortFunc(generations, func(a, b *exported) int { return cmp.Compare(b.generation, a.generation) })
	return generations, rest, now
}
