package git

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// The layouts.
const (
	document    = "document"
	perResource = "perResource"
)

// Store commits snapshots to a branch. It is safe for concurrent use as
// sink.SnapshotStore says, and by any number of processes.
type Store struct {
	template template
	layout   string
	format   string
	author   object.Author
	sign     func([]byte) (string, error)
	confirms time.Duration // how often confirming makes a commit; 0: never
	redact   sink.Redactor
	scheme   string
	space    *object.Space

	busy   chan struct{} // has room for one: who may use what follows
	branch *branch

	mu        sync.Mutex // guards what follows
	confirmed map[inventoryName]sink.Mark
	last      map[inventoryName]*written
}

// inventoryName is what an inventory is known by.
type inventoryName struct {
	cluster string
	ref     inventory.Ref
}

func nameOf(of *inventory.Inventory) inventoryName { return inventoryName{of.Cluster, of.Ref} }

var _ sink.SnapshotStore = (*Store)(nil)

// Schema returns what identifies the layout and the encoding.
func (s *Store) Schema(*inventory.Inventory) string { return s.layout + "-" + s.format + "/1" }

// Close frees what the store holds.
func (s *Store) Close() error {
	s.branch.remote.Close()
	return nil
}

// Mark reads the manifest. Its time is when the content was committed, or when this
// store, or a commit, has confirmed it since.
func (s *Store) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	p, err := s.look(ctx, of)
	if err != nil {
		return sink.Mark{}, s.explain("read the branch", err)
	}
	if p.manifest == nil {
		return sink.Mark{}, nil
	}
	return s.withConfirmed(of, p.manifest.mark()), nil
}

// look reads what the branch holds of the inventory now.
func (s *Store) look(ctx context.Context, of *inventory.Inventory) (p *place, err error) {
	err = s.current(ctx, func() error {
		p, err = s.place(ctx, of)
		return err
	})
	return p, err
}

// current calls read with the branch where it is now, again if it moves meanwhile
// and the server knows nothing of where it was.
func (s *Store) current(ctx context.Context, read func() error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	defer func() {
		if s.branch.selects { // or what was read is to be gone on from, and nothing was added to it
			s.branch.trim()
		}
	}()
	err := errOvertaken
	for range attempts {
		var head object.ID
		if head, err = s.branch.remote.Head(ctx); err != nil {
			return err
		}
		if err = s.branch.moveTo(ctx, head); err == nil {
			err = read()
		}
		if !errors.Is(err, remote.ErrMoved) {
			return err
		}
	}
	return err
}

// withConfirmed returns the mark with the time when this store last confirmed it.
func (s *Store) withConfirmed(of *inventory.Inventory, mark sink.Mark) sink.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	confirmed, ok := s.confirmed[nameOf(of)]
	if ok && confirmed.Generation == mark.Generation && confirmed.Hash == mark.Hash && confirmed.Time.After(mark.Time) {
		mark.Time = confirmed.Time
	}
	return mark
}

// Write commits the snapshot.
func (s *Store) Write(ctx context.Context, export sink.Export) (sink.Mark, error) {
	if err := check(export.Generation, export.Time); err != nil {
		return sink.Mark{}, fmt.Errorf("write %w", err)
	}
	var mark sink.Mark
	err := errOvertaken
	for range attempts {
		if mark, err = s.tryWrite(ctx, export); !errors.Is(err, errRemake) {
			break
		}
	}
	return mark, s.explain("commit the snapshot", err)
}

// errRemake says that the folder is not the one any more that files were made for.
var errRemake = errors.New("somebody else changes the folder again and again")

func (s *Store) tryWrite(ctx context.Context, export sink.Export) (sink.Mark, error) {
	of := export.Snapshot.Inventory()
	p, err := s.remembered(ctx, of)
	if err != nil {
		return sink.Mark{}, err
	}
	if err := admit(p, export); err != nil {
		// The branch may have been rewritten.
		if p, err = s.look(ctx, of); err != nil {
			return sink.Mark{}, err
		}
		if err := admit(p, export); err != nil {
			return sink.Mark{}, err
		}
	}
	made, err := s.make(ctx, p, export.Snapshot)
	if err != nil {
		return sink.Mark{}, err
	}
	defer made.pack.Close()
	m := &manifest{
		APIVersion: format.APIVersion, Kind: manifestKind, Cluster: of.Cluster, Namespace: of.Namespace, Name: of.Name,
		Layout: s.layout, Format: s.format, Schema: s.Schema(of),
		Generation: export.Generation, ContentHash: export.Snapshot.Hash().String(), Rows: int64(export.Snapshot.Len()),
		ExportedAt: export.Time.UTC().Truncate(time.Millisecond),
	}
	err = s.update(ctx, of, func(p *place) (*change, error) {
		if err := admit(p, export); err != nil {
			return nil, err
		}
		if err := s.refuseForeign(p); err != nil {
			return nil, err
		}
		if p.tree(resourcesName) != made.base && s.layout == perResource {
			return nil, errRemake
		}
		return &change{subject: fmt.Sprintf("Export %s of %s: %s", of.Ref, of.Cluster, counted(export.Snapshot.Len())), manifest: m, files: []object.Entry{made.file}, pack: made.pack}, nil
	})
	if err != nil {
		return sink.Mark{}, err
	}
	s.remember(of, export.Snapshot, made.file.ID)
	return m.mark(), nil
}

func counted(rows int) string {
	if rows == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", rows)
}

// remembered returns what the branch held of the inventory when last looked at: that
// it still does is found out by the push.
func (s *Store) remembered(ctx context.Context, of *inventory.Inventory) (*place, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	known := s.branch.known
	var p *place
	var err error
	if known {
		p, err = s.place(ctx, of)
	}
	s.unlock()
	if !known || err != nil {
		return s.look(ctx, of)
	}
	return p, nil
}

// admit returns an error unless the place holds what the export goes out from.
func admit(p *place, export sink.Export) error {
	if err := fence(p, export.Generation); err != nil {
		return err
	}
	held := int64(0)
	if p.manifest != nil {
		held = p.manifest.Generation
	}
	return export.Unmoved(held)
}

// fence returns an error unless the place holds an older generation.
func fence(p *place, generation int64) error {
	if p.manifest != nil && p.manifest.Generation >= generation {
		return fmt.Errorf("generation %d is current: %w", p.manifest.Generation, sink.ErrFenced)
	}
	return nil
}

func check(generation int64, at time.Time) error {
	if generation <= 0 || generation > sink.MaxGeneration || at.IsZero() {
		return fmt.Errorf("generation %d: the generation must be from 1 to %d and the time set", generation, sink.MaxGeneration)
	}
	return nil
}

// Confirm looks whether the branch still holds the mark. It makes no commit, unless
// spec.git.confirmInterval has passed since the last: that the content is current is
// known to this store alone then.
func (s *Store) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	p, err := s.look(ctx, of)
	if err != nil {
		return sink.Mark{}, s.explain("read the branch", err)
	}
	if err := holds(p, mark); err != nil {
		return sink.Mark{}, s.explain("confirm the content", err)
	}
	held := p.manifest.mark()
	at = at.UTC().Truncate(time.Millisecond)
	if s.confirms > 0 && at.Sub(held.Time) >= s.confirms {
		if err := s.commitConfirmed(ctx, of, mark, at); err != nil {
			return sink.Mark{}, s.explain("confirm the content", err)
		}
		held.Time = at
		return held, nil
	}
	s.mu.Lock()
	if at.After(held.Time) && at.After(s.confirmed[nameOf(of)].Time) {
		confirmed := held
		confirmed.Time = at
		s.confirmed[nameOf(of)] = confirmed
	}
	s.mu.Unlock()
	return s.withConfirmed(of, held), nil
}

// holds returns ErrFenced unless the place holds what the mark says.
func holds(p *place, mark sink.Mark) error {
	if p.manifest == nil {
		return fmt.Errorf("the branch holds nothing: %w", sink.ErrFenced)
	}
	held := p.manifest.mark()
	if held.Forgotten || held.Generation != mark.Generation || held.Hash != mark.Hash || held.Schema != mark.Schema {
		return fmt.Errorf("generation %d is current: %w", held.Generation, sink.ErrFenced)
	}
	return nil
}

func (s *Store) commitConfirmed(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) error {
	return s.update(ctx, of, func(p *place) (*change, error) {
		if err := holds(p, mark); err != nil {
			return nil, err
		}
		m := *p.manifest
		m.ConfirmedAt = &at
		return &change{subject: fmt.Sprintf("Confirm %s of %s", of.Ref, of.Cluster), manifest: &m}, nil
	})
}
