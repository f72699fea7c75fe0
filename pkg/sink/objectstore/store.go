package objectstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Options are the server's part of a store's configuration.
type Options struct {
	// FileRoot is the folder below which file URLs lie. Without it they are
	// refused.
	FileRoot string
	// AmbientCredentials allows a sink without a Secret to act with the server's
	// own identity in its cloud. Leave it off for sinks of tenants: their URLs
	// would reach whatever the server may.
	AmbientCredentials bool
	// Client makes the requests to S3, GCS and Azure, if set: it is where to
	// bound which addresses may be dialled. Ambient credentials are obtained
	// without it. It must not follow redirects to where it may not connect.
	Client *http.Client
	// MinAge is how long ago a newer generation must have taken the place of one
	// for retention to remove it: longer than anybody reads one. Default: one hour.
	MinAge time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Store writes snapshots to a bucket or folder. It is safe for concurrent use
// as sink.SnapshotStore says, and by any number of processes.
type Store struct {
	bucket    bucket
	prefix    string
	format    format.Format
	retention *kollectv1alpha1.Retention
	redact    redactor
	minAge    time.Duration
	now       func() time.Time
	current   current

	mu       sync.Mutex
	retained map[string]time.Time // when retention last ran, by folder
}

var _ sink.SnapshotStore = (*Store)(nil)

// Open returns the store that spec describes. secret is the data of the Secret
// that the sink refers to, or nil. It contacts nothing but, for file URLs, the
// file system. Its errors name the field and the mend, and hold no secrets.
func Open(ctx context.Context, spec kollectv1alpha1.ObjectStoreSink, secret map[string][]byte, options Options) (*Store, error) {
	if options.MinAge == 0 {
		options.MinAge = time.Hour
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Store{
		format:    format.Format(spec.Format),
		retention: spec.Retention,
		redact:    newRedactor(secret),
		minAge:    options.MinAge,
		now:       options.Now,
		retained:  map[string]time.Time{},
	}
	if s.format == "" {
		s.format = format.Parquet
	}
	if !stored(s.format) {
		return nil, sink.Permanent(errors.New("spec.objectStore.format: must be json, ndjson or parquet"))
	}
	var err error
	if s.prefix, err = parsePrefix(spec.Prefix); err != nil {
		return nil, sink.Permanent(err)
	}
	place, err := parseURL(spec.URL)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	if s.bucket, err = place.open(ctx, secret, options); err != nil {
		return nil, s.redact.error(err)
	}
	return s, nil
}

// Schema returns what identifies the columns and the encoding.
func (s *Store) Schema(of *inventory.Inventory) string { return s.format.Schema(of) }

// Close frees what the store holds.
func (s *Store) Close() error { return s.redact.error(s.bucket.close()) }

// Mark reads the pointer. It has no time while the cluster's list may be
// behind it, so that it is confirmed, which mends that, without delay.
func (s *Store) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	folder, err := folderOf(of)
	if err != nil {
		return sink.Mark{}, err
	}
	p, _, err := s.readPointer(ctx, of, folder)
	if err != nil || p == nil {
		return sink.Mark{}, err
	}
	mark := p.mark()
	if s.current.of(of.Cluster).behind(of.Ref) {
		mark.Time = time.Time{}
	}
	return mark, nil
}

// Write adds the snapshot as a generation of its own and makes it current. It
// returns ErrFenced too if an export of that generation has begun before: what
// it left, complete or not, is never written over, and the next generation is
// free.
func (s *Store) Write(ctx context.Context, export sink.Export) (sink.Mark, error) {
	of := export.Snapshot.Inventory()
	folder, err := folderOf(of)
	if err != nil {
		return sink.Mark{}, err
	}
	if export.Generation <= 0 || export.Generation > sink.MaxGeneration || export.Time.IsZero() {
		return sink.Mark{}, fmt.Errorf("write generation %d: the generation must be from 1 to %d and the time set", export.Generation, sink.MaxGeneration)
	}
	current, _, err := s.readPointer(ctx, of, folder)
	if err != nil {
		return sink.Mark{}, err
	}
	if err := admit(current, export); err != nil {
		return sink.Mark{}, err
	}
	m, err := s.writeData(ctx, folder, export)
	if err != nil {
		return sink.Mark{}, err
	}
	if err := s.writeManifest(ctx, folder, m); err != nil {
		return sink.Mark{}, err
	}
	p, err := s.swapPointer(ctx, of, folder, func(current *pointer) (*pointer, error) {
		if err := admit(current, export); err != nil {
			return nil, err
		}
		next := &pointer{manifest: *m, ConfirmedAt: m.ExportedAt}
		next.Kind = pointerKind
		return next, nil
	})
	if err != nil {
		if !errors.Is(err, sink.ErrFenced) {
			s.current.of(of.Cluster).doubt(of.Ref)
		}
		return sink.Mark{}, err
	}
	if err := s.publish(ctx, p); err != nil {
		return sink.Mark{}, err
	}
	s.retain(ctx, folder, m.Generation)
	return p.mark(), nil
}

// admit returns an error unless the pointer is what the export goes out from.
func admit(current *pointer, export sink.Export) error {
	held := int64(0)
	if current != nil {
		held = current.Generation
	}
	if held >= export.Generation {
		return fenced(current)
	}
	return export.Unmoved(held)
}

// Confirm rewrites the pointer, which is small, and the cluster's list if that is
// behind.
func (s *Store) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	folder, err := folderOf(of)
	if err != nil {
		return sink.Mark{}, err
	}
	p, err := s.swapPointer(ctx, of, folder, func(current *pointer) (*pointer, error) {
		if current == nil {
			return nil, fmt.Errorf("confirm generation %d: the destination holds nothing: %w", mark.Generation, sink.ErrFenced)
		}
		if current.Forgotten || current.Generation != mark.Generation || current.ContentHash != mark.Hash || current.Schema != mark.Schema {
			return nil, fenced(current)
		}
		next := *current
		if at = at.UTC().Truncate(time.Millisecond); at.After(next.ConfirmedAt) {
			next.ConfirmedAt = at
		}
		return &next, nil
	})
	if err != nil {
		return sink.Mark{}, err
	}
	if err := s.publish(ctx, p); err != nil {
		return sink.Mark{}, err
	}
	return p.mark(), nil
}

func fenced(current *pointer) error {
	return fmt.Errorf("generation %d is current: %w", current.Generation, sink.ErrFenced)
}

// readPointer returns the inventory's pointer and its version, or nil if there
// is none. One that is not ours is never written over, nor one of another format:
// two sinks would replace each other's content for ever.
func (s *Store) readPointer(ctx context.Context, of *inventory.Inventory, folder string) (*pointer, string, error) {
	key := s.prefix + pointerKey(folder)
	data, version, err := s.bucket.read(ctx, key, maxPointer)
	if errors.Is(err, errNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", s.redact.wrap("read", key, err)
	}
	p, err := parsePointer(data, of, folder)
	if err != nil {
		return nil, "", sink.Permanent(fmt.Errorf("read %s: not a pointer that Kollect wrote: %w: restore it, or move it away to export anew", key, err))
	}
	if p.Format != s.format && !p.Forgotten {
		return nil, "", sink.Permanent(fmt.Errorf("spec.objectStore.format: %s is kept in format %s, not %s, by another sink or by this one before: give this sink another spec.objectStore.prefix",
			key, p.Format, s.format))
	}
	return p, version, nil
}

// swapAttempts bounds how often a swap starts over because somebody else's came
// between.
const swapAttempts = 5

// swapPointer replaces the pointer by what next makes of the current one, which
// is nil if there is none. It does nothing if next returns the current one.
func (s *Store) swapPointer(ctx context.Context, of *inventory.Inventory, folder string, next func(*pointer) (*pointer, error)) (*pointer, error) {
	key := s.prefix + pointerKey(folder)
	for range swapAttempts {
		current, version, err := s.readPointer(ctx, of, folder)
		if err != nil {
			return nil, err
		}
		p, err := next(current)
		if err != nil || p == current {
			return p, err
		}
		data, err := encode(p)
		if err != nil {
			return nil, fmt.Errorf("encode pointer: %w", err)
		}
		err = s.bucket.swap(ctx, key, format.JSON.ContentType(), data, version)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errChanged) {
			return nil, s.redact.wrap("write", key, err)
		}
	}
	return nil, fmt.Errorf("write %s: %w again and again", key, errChanged)
}

// writeData streams the snapshot to its object.
func (s *Store) writeData(ctx context.Context, folder string, export sink.Export) (*manifest, error) {
	of := export.Snapshot.Inventory()
	m := &manifest{
		APIVersion: format.APIVersion, Kind: manifestKind,
		Cluster: of.Cluster, Namespace: of.Namespace, Name: of.Name,
		Generation:  export.Generation,
		ContentHash: export.Snapshot.Hash().String(),
		Rows:        int64(export.Snapshot.Len()),
		ExportedAt:  export.Time.UTC().Truncate(time.Millisecond),
		Format:      s.format,
		Schema:      s.format.Schema(of),
		Data:        dataKey(folder, export.Generation, s.format),
	}
	digest := sha256.New()
	err := s.bucket.create(ctx, s.prefix+m.Data, s.format.ContentType(), func(w io.Writer) error {
		sized := &counting{w: io.MultiWriter(w, digest)}
		err := s.format.Write(sized, export.Snapshot, format.Options{Generation: m.Generation, Time: m.ExportedAt})
		m.Size = sized.n
		return err
	})
	if err != nil {
		return nil, s.created(s.prefix+m.Data, err)
	}
	m.SHA256 = hex.EncodeToString(digest.Sum(nil))
	return m, nil
}

func (s *Store) writeManifest(ctx context.Context, folder string, m *manifest) error {
	data, err := encode(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	key := s.prefix + manifestKey(folder, m.Generation)
	err = s.bucket.create(ctx, key, format.JSON.ContentType(), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return s.created(key, err)
}

// created turns what creating an object said into the store's error.
func (s *Store) created(key string, err error) error {
	if errors.Is(err, errExists) {
		return fmt.Errorf("write %s: an export of this generation has begun before: %w", key, sink.ErrFenced)
	}
	return s.redact.wrap("write", key, err)
}

// counting counts the bytes that are written through it.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
