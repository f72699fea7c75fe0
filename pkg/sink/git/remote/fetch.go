package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"kollect.io/kollect/pkg/sink/git/object"
)

// Wanted is what to fetch.
type Wanted struct {
	IDs []object.ID
	// Depth is how many folders deep what is below the IDs comes too; zero: all.
	Depth int
	// NoBlobs leaves out those that are not among the IDs.
	NoBlobs bool
}

// MaxBlob is the size of the largest blobs that are fetched.
const MaxBlob = 16 << 10

// Selects reports whether the server sends what Fetch is asked for and no more. If
// not, FetchAll is the way. It asks the server, whatever was known before.
func (r *Remote) Selects(ctx context.Context) (bool, error) {
	r.forget()
	c, err := r.uploads(ctx)
	if err != nil {
		return false, err
	}
	defer r.giveBack(c)
	if c.version != 2 {
		end(ctx, c.session)
	}
	return c.filters(), nil
}

// Fetch returns what is wanted, of the blobs those of MaxBlob at most.
func (r *Remote) Fetch(ctx context.Context, wanted Wanted) (map[object.ID][]byte, error) {
	c, err := r.uploads(ctx)
	if err != nil {
		return nil, err
	}
	defer r.giveBack(c)
	if !c.filters() {
		return nil, errors.New("the server sends no single objects any more")
	}
	var options []string
	var filters []string
	if wanted.NoBlobs {
		filters = append(filters, "blob:none")
	}
	if wanted.Depth > 0 {
		filters = append(filters, fmt.Sprintf("tree:%d", wanted.Depth))
	}
	if len(filters) > 1 {
		filters = []string{"combine:" + strings.Join(filters, "+")}
	}
	for _, filter := range filters {
		options = append(options, "filter "+filter)
	}
	return r.fetch2(ctx, c, wanted.IDs, options, nil)
}

// FetchAll returns the commit and all trees below it, and of the blobs those of MaxBlob
// at most of which wants says so.
func (r *Remote) FetchAll(ctx context.Context, commit object.ID, wants func(blob []byte) bool) (map[object.ID][]byte, error) {
	c, err := r.uploads(ctx)
	if err != nil {
		return nil, err
	}
	defer r.giveBack(c)
	if c.version == 2 {
		return r.fetch2(ctx, c, []object.ID{commit}, nil, wants)
	}
	return r.fetch0(ctx, c, commit, wants)
}

// fetch2 fetches by version 2.
func (r *Remote) fetch2(ctx context.Context, c *capable, ids []object.ID, options []string, wants func([]byte) bool) (map[object.ID][]byte, error) {
	request := append(command("fetch"), delimiterLine...)
	for _, option := range append(options, "no-progress", "ofs-delta", "deepen 1") {
		request = appendLine(request, "%s", option)
	}
	for _, id := range ids {
		request = appendLine(request, "want %s", id)
	}
	request = append(appendLine(request, "done"), flushLine...)
	answer, err := ask(ctx, c.session, request)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	in := newLines(answer)
	if err := in.skipTo("packfile"); err != nil {
		return nil, err
	}
	return r.readPack(ctx, &sideband{lines: in}, wants)
}

// fetch0 fetches by version 0, which has but the commits that branches are at.
func (r *Remote) fetch0(ctx context.Context, c *capable, commit object.ID, wants func([]byte) bool) (map[object.ID][]byte, error) {
	if !has(c.caps, "shallow") {
		return nil, fmt.Errorf("%w: it sends no commit without all before it: Git 1.5 or later does", ErrUnsuited)
	}
	caps := "agent=kollect"
	for _, name := range []string{"ofs-delta", "no-progress", "side-band-64k", "multi_ack_detailed"} {
		if has(c.caps, name) {
			caps = name + " " + caps
		}
	}
	request := appendLine(nil, "want %s %s", commit, caps)
	request = appendLine(request, "deepen 1")
	request = append(request, flushLine...)
	request = appendLine(request, "done")
	answer, err := ask(ctx, c.session, request)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	in := newLines(answer)
	if err := in.skipTo("NAK"); err != nil {
		return nil, err
	}
	return r.readPack(ctx, &sideband{lines: in, raw: !has(c.caps, "side-band-64k")}, wants)
}

func (r *Remote) readPack(ctx context.Context, s *sideband, wants func([]byte) bool) (map[object.ID][]byte, error) {
	s.messages = &messages{}
	objects, err := object.ReadPack(ctx, s, r.space, object.Selection{Blob: MaxBlob, Wants: wants})
	if err != nil {
		return nil, fmt.Errorf("read the pack that the server sent: %w", err)
	}
	_, err = io.Copy(io.Discard, s)
	return objects, err
}
