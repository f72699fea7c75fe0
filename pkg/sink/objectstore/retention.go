package objectstore

import (
	"cmp"
	"context"
	"path"
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
// pointer and the cluster's list have moved to generation, and at most six times in what every
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
	for _, key := range expired(seen, inUse{current: generation}, *s.retention, s.minAge) {
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

// What retention says of a generation.
const (
	isCurrent = "current"
	isNewer   = "newer than the current one"
	isListed  = "in the cluster's list of what is current"
	isNewest  = "among the newest"
	isHourly  = "last of its hour"
	isDaily   = "last of its day"
	isYoung   = "current not long ago, and maybe being read"
	isFresh   = "of an export that may be going on"
	isAnyway  = "no retention is set"
	isOld     = "kept by no rule"
	isPart    = "of an export that did not end"
)

// verdict is what retention makes of a generation.
type verdict struct {
	*exported
	keep   bool
	reason string
}

// inUse are the generations that stay whatever their age: the current one, and the
// one that the cluster's list has, which may follow later.
type inUse struct{ current, listed int64 }

// judge returns what is to become of each generation, newest first. It is given
// what is in the folder.
//
// Kept are the newest generations, the last of each hour and of each day as far
// back as retention says, what is newer than current, and all that was current
// less than minAge ago, however long it had been. Ages are taken by the
// destination's clock, whose newest time is that of the export just made.
// Generations without data or manifest, left by an export that did not end, are
// not kept for later, unless the other half may be out of sight.
func judge(seen listing, used inUse, retention kollectv1alpha1.Retention, minAge time.Duration) []verdict {
	generations, _, now := sortOut(seen.objects)
	verdicts := make([]verdict, len(generations))
	hours, days := map[time.Time]bool{}, map[time.Time]bool{}
	newer, replaced := 0, time.Time{} // complete ones, and when the last of them came
	for i, g := range generations {   // newest first
		complete := g.complete(seen.truncated)
		whole := complete || seen.truncated // as far as can be seen
		if whole && replaced.After(g.replaced) {
			g.replaced = replaced
		}
		if complete {
			replaced = g.modified
		}
		age := now.Sub(g.modified)
		hour, day := g.modified.UTC().Truncate(time.Hour), g.modified.UTC().Truncate(24*time.Hour)
		v := verdict{g, true, ""}
		switch {
		case g.generation > used.current:
			v.reason = isNewer
		case g.generation == used.current:
			v.reason = isCurrent
		case g.generation == used.listed:
			v.reason = isListed
		case whole && newer < max(int(retention.Keep), 1):
			v.reason = isNewest
		case whole && age < time.Duration(retention.Hourly)*time.Hour && !hours[hour]:
			v.reason = isHourly
		case whole && age < time.Duration(retention.Daily)*24*time.Hour && !days[day]:
			v.reason = isDaily
		case now.Sub(g.replaced) < minAge && whole:
			v.reason = isYoung
		case now.Sub(g.replaced) < minAge:
			v.reason = isFresh
		case whole:
			v.keep, v.reason = false, isOld
		default:
			v.keep, v.reason = false, isPart
		}
		verdicts[i] = v
		if complete && g.generation <= used.current { // others take nobody's place
			newer++
			hours[hour], days[day] = true, true
		}
	}
	return verdicts
}

// expired returns the keys, below the folder, of the objects to remove, in the
// order in which to do so: the oldest generation first, and a manifest before its
// data. Whoever reads a manifest finds its data, however far a removal came.
func expired(seen listing, used inUse, retention kollectv1alpha1.Retention, minAge time.Duration) []string {
	var keys []string
	for _, v := range slices.Backward(judge(seen, used, retention, minAge)) {
		if !v.keep {
			keys = append(keys, v.keys()...)
		}
	}
	_, rest, now := sortOut(seen.objects)
	for _, o := range rest {
		if strings.HasPrefix(path.Base(o.key), temporaryMark) && now.Sub(o.modified) >= minAge {
			keys = append(keys, o.key)
		}
	}
	return keys
}

// keys returns those of the generation, in the order in which to remove them.
func (e *exported) keys() (keys []string) {
	for _, key := range []string{e.manifest, e.data} {
		if key != "" {
			keys = append(keys, key)
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
