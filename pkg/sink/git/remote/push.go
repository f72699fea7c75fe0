package remote

import (
	"context"
	"fmt"
	"io"
	"strings"

	"kollect.io/kollect/pkg/sink/git/object"
)

// Push is a commit on its way to the branch, and the packs with what the server
// does not have.
type Push struct {
	Commit object.ID
	Packs  []*object.Pack
}

// Push moves the branch to the commit that make returns, if it is where make was
// told that it is: at no commit, if there is no such branch. If make returns nil,
// nothing is done. What the server does not take is a Refused.
func (r *Remote) Push(ctx context.Context, make func(head object.ID) (*Push, error)) error {
	s, err := r.transport.open(ctx, receivePack)
	if err != nil {
		return err
	}
	defer s.close()
	first, ok, err := s.greeting().text()
	if err != nil {
		return err
	}
	refs, caps, err := readRefs(s.greeting(), first, ok)
	if err != nil {
		return err
	}
	if err := checkFormat(caps); err != nil {
		return err
	}
	push, err := make(refs[r.ref])
	if err != nil || push == nil {
		end(ctx, s)
		return err
	}
	answer, err := r.send(ctx, s, refs[r.ref], push, caps)
	if err != nil {
		return err
	}
	defer answer.Close()
	return r.report(answer, caps)
}

func (r *Remote) send(ctx context.Context, s session, head object.ID, push *Push, caps string) (io.ReadCloser, error) {
	offered := "agent=kollect"
	for _, name := range []string{"quiet", "side-band-64k", "report-status"} {
		if has(caps, name) {
			offered = name + " " + offered
		}
	}
	request := append(appendLine(nil, "%s %s %s\x00 %s", head, push.Commit, r.ref, offered), flushLine...)
	pack, size, err := object.Join(push.Packs...)
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, io.MultiReader(strings.NewReader(string(request)), pack), int64(len(request))+size)
}

// report reads what became of a push.
func (r *Remote) report(answer io.Reader, caps string) error {
	if !has(caps, "report-status") {
		return fmt.Errorf("%w: it does not report what becomes of a push", ErrUnsuited)
	}
	said := &messages{}
	in := newLines(answer)
	var banded *sideband
	if has(caps, "side-band-64k") {
		banded = &sideband{lines: in, messages: said}
		in = newLines(banded)
	}
	unpacked, reason := "", "it reports nothing of the branch"
	for {
		line, ok, err := in.text()
		if err != nil {
			return fmt.Errorf("read what became of the push: %w", err)
		}
		if !ok {
			break
		}
		verb, rest, _ := strings.Cut(line, " ")
		ref, why, _ := strings.Cut(rest, " ")
		switch {
		case verb == "unpack":
			unpacked = rest
		case verb == "ok" && ref == r.ref:
			reason = ""
		case verb == "ng" && ref == r.ref:
			reason = why
		}
	}
	if banded != nil {
		if _, err := io.Copy(io.Discard, banded); err != nil && reason != "" {
			return err
		}
	}
	switch {
	case unpacked != "ok":
		return &Refused{Reason: unpackFailed + unpacked, Messages: said.String()}
	case reason != "":
		return &Refused{Reason: reason, Messages: said.String()}
	}
	return nil
}
