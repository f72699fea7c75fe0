package git

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// change is what a commit does in the folder of an inventory.
type change struct {
	subject  string
	manifest *manifest
	// files are put there; those without an ID are taken away.
	files []object.Entry
	pack  *object.Pack // has what files name and the branch does not have; or nil
}

const (
	// attempts bounds how often an update starts over because others push.
	attempts = 30
	// firstWait is how long to wait then at most, at first.
	firstWait = 20 * time.Millisecond
	lastWait  = 2 * time.Second
)

// errOvertaken says that what was made is of what the branch does not hold any more.
var errOvertaken = errors.New("somebody else pushes to the branch again and again")

// lock is for one look at the branch, or change of it, at a time.
func (s *Store) lock(ctx context.Context) error {
	select {
	case s.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) unlock() { <-s.busy }

// update makes a commit of the change that make returns for what the branch holds,
// and makes it again when somebody else pushed meanwhile. A nil change is none.
func (s *Store) update(ctx context.Context, of *inventory.Inventory, make func(*place) (*change, error)) error {
	wait := firstWait
	for range attempts {
		lost, err := s.tryUpdate(ctx, of, make)
		if !lost || err != nil {
			return err
		}
		timer := time.NewTimer(rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(2*wait, lastWait)
	}
	return errOvertaken
}

// tryUpdate reports whether somebody else was faster.
func (s *Store) tryUpdate(ctx context.Context, of *inventory.Inventory, make func(*place) (*change, error)) (lost bool, err error) {
	if err := s.lock(ctx); err != nil {
		return false, err
	}
	defer s.unlock()
	pack := object.NewPack(s.space)
	defer pack.Close()
	var before, commit, root object.ID
	err = s.branch.remote.Push(ctx, func(head object.ID) (*remote.Push, error) {
		before = head
		if err := s.branch.moveTo(ctx, head); err != nil {
			return nil, err
		}
		p, err := s.place(ctx, of)
		if err != nil {
			return nil, err
		}
		c, err := make(p)
		if err != nil || c == nil {
			return nil, err
		}
		if commit, root, err = s.commit(p, c, pack); err != nil {
			return nil, err
		}
		push := &remote.Push{Commit: commit, Packs: []*object.Pack{pack}}
		if c.pack != nil {
			push.Packs = append(push.Packs, c.pack)
		}
		return push, nil
	})
	refused := remote.IsRefused(err)
	switch {
	case refused != nil:
		head, err := s.branch.remote.Head(ctx)
		if err != nil {
			return false, err
		}
		if head != before || refused.Raced() {
			return true, nil
		}
		return false, refused
	case errors.Is(err, remote.ErrMoved):
		return true, nil
	case err != nil:
		return false, err
	case !commit.IsZero():
		s.branch.moved(commit, root)
		s.branch.trim()
	}
	return false, nil
}

// commit makes the commit of a change, and all trees above it.
func (s *Store) commit(p *place, c *change, pack *object.Pack) (commit, root object.ID, err error) {
	add := func(t object.Type, data []byte) (id object.ID) {
		if err == nil {
			id, err = pack.Add(t, data)
		}
		return id
	}
	data := c.manifest.encode()
	entry := object.Entry{Mode: object.ModeFile, Name: manifestName, ID: add(object.Blob, data)}
	s.branch.put(entry.ID, data)
	entries := p.entries()
	for _, file := range append(c.files, entry) {
		entries = object.With(entries, file)
	}
	for depth := len(p.folders); depth >= 0; depth-- {
		tree := object.EncodeTree(entries)
		root = add(object.Tree, tree)
		s.branch.put(root, tree)
		if depth > 0 {
			entries = object.With(p.trees[depth-1], object.Entry{Mode: object.ModeTree, Name: p.folders[depth-1], ID: root})
		}
	}
	if err != nil {
		return commit, root, fmt.Errorf("make the commit: %w", err)
	}
	revision := object.Revision{Tree: root, Parent: p.commit, Author: s.author, Time: c.manifest.mark().Time, Message: message(c)}
	content, err := revision.Encode(s.sign)
	if err != nil {
		return commit, root, sink.Permanent(fmt.Errorf("sign the commit: %w", err))
	}
	commit = add(object.Commit, content)
	return commit, root, err
}

// message returns the message of the commit, with trailers.
func message(c *change) string {
	m := c.manifest
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", c.subject)
	fmt.Fprintf(&b, "Kollect-Cluster: %s\n", m.Cluster)
	fmt.Fprintf(&b, "Kollect-Inventory: %s\n", inventory.Ref{Namespace: m.Namespace, Name: m.Name})
	fmt.Fprintf(&b, "Kollect-Generation: %d\n", m.Generation)
	if m.ContentHash != "" {
		fmt.Fprintf(&b, "Kollect-Content-Hash: %s\n", m.ContentHash)
	}
	return b.String()
}
