package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"kollect.io/kollect/pkg/sink/git/object"
)

// The services of a server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// Transport opens conversations with a server.
type Transport interface {
	// open begins one with a service.
	open(ctx context.Context, service string) (session, error)
	// stateless reports whether a session can be used again at any time.
	stateless() bool
	close()
}

// session is a conversation with a service.
type session interface {
	// greeting is what the server says first.
	greeting() *lines
	// ask sends a request, of that size, and returns what the server says then, which
	// the caller closes.
	ask(ctx context.Context, body io.Reader, size int64) (io.ReadCloser, error)
	close()
}

// Remote is a branch of a repository on a server. It is safe for concurrent use.
type Remote struct {
	transport Transport
	ref       string
	space     *object.Space

	mu    sync.Mutex // guards what follows
	known *capable   // what the server can do, if a session can be used again
}

// New returns the branch, and contacts nobody. What is fetched takes of the space while
// it is read.
func New(transport Transport, branch string, space *object.Space) *Remote {
	return &Remote{transport: transport, ref: "refs/heads/" + branch, space: space}
}

// Close ends connections. No call may be in progress.
func (r *Remote) Close() {
	r.forget()
	r.transport.close()
}

// forget has the server say again what it can do.
func (r *Remote) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known != nil {
		r.known.session.close()
		r.known = nil
	}
}

// capable is a session to fetch in, and what the server can do there.
type capable struct {
	session session
	version int
	fetch   string    // the features of fetch, of version 2
	head    object.ID // of the branch, of version 0
	caps    string    // of version 0
}

// filters reports whether the server leaves out what is not wanted.
func (c *capable) filters() bool { return c.version == 2 && has(c.fetch, "filter") }

// uploads returns a session to fetch in, which the caller gives back.
func (r *Remote) uploads(ctx context.Context) (*capable, error) {
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	s, err := r.transport.open(ctx, uploadPack)
	if err != nil {
		return nil, err
	}
	c, err := r.greet(s)
	if err != nil {
		s.close()
		return nil, err
	}
	if c.version == 2 && r.transport.stateless() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.known = c
	}
	return c, nil
}

func (r *Remote) giveBack(c *capable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c != r.known {
		c.session.close()
	}
}

// greet reads what the server says first.
func (r *Remote) greet(s session) (*capable, error) {
	greeting := s.greeting()
	first, ok, err := greeting.text()
	if err != nil {
		return nil, err
	}
	if first != "version 2" {
		refs, caps, err := readRefs(greeting, first, ok)
		if err != nil {
			return nil, err
		}
		return &capable{session: s, head: refs[r.ref], caps: caps}, checkFormat(caps)
	}
	c := &capable{session: s, version: 2}
	for {
		line, ok, err := greeting.text()
		if err != nil {
			return nil, err
		}
		if !ok {
			return c, nil
		}
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "fetch":
			c.fetch = value
		case "object-format":
			if err := checkFormat(line); err != nil {
				return nil, err
			}
		}
	}
}

// checkFormat refuses repositories with other hashes than SHA-1.
func checkFormat(caps string) error {
	for c := range strings.FieldsSeq(caps) {
		if format, ok := strings.CutPrefix(c, "object-format="); ok && format != "sha1" {
			return fmt.Errorf("%w: the repository is of object format %s: it must be sha1", ErrUnsuited, format)
		}
	}
	return nil
}

// readRefs reads branches as version 0 has them, from the first line on.
func readRefs(in *lines, line string, ok bool) (refs map[string]object.ID, caps string, err error) {
	refs = map[string]object.ID{}
	line, caps, _ = strings.Cut(line, "\x00")
	for ok {
		text, name, _ := strings.Cut(line, " ")
		if id, valid := object.ParseID(text); valid && !id.IsZero() {
			refs[name] = id
		} else if !valid && text != "shallow" && !strings.HasPrefix(line, "version ") {
			return nil, "", fmt.Errorf("%w, or has a repository of another object format than sha1", errNoGit)
		}
		if line, ok, err = in.text(); err != nil {
			return nil, "", err
		}
		if _, more, found := strings.Cut(line, "\x00"); found && caps == "" {
			caps = more
		}
		line, _, _ = strings.Cut(line, "\x00")
	}
	return refs, caps, nil
}

// has reports whether a word is among those of a list.
func has(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// Head returns the commit that the branch is at, or no ID if there is no such
// branch.
func (r *Remote) Head(ctx context.Context) (object.ID, error) {
	c, err := r.uploads(ctx)
	if err != nil {
		return object.ID{}, err
	}
	defer r.giveBack(c)
	if c.version != 2 {
		end(ctx, c.session)
		return c.head, nil
	}
	request := command("ls-refs")
	request = append(request, delimiterLine...)
	request = appendLine(request, "ref-prefix %s", r.ref)
	request = append(request, flushLine...)
	answer, err := ask(ctx, c.session, request)
	if err != nil {
		return object.ID{}, err
	}
	defer answer.Close()
	var head object.ID
	for in := newLines(answer); ; {
		line, ok, err := in.text()
		if err != nil || !ok {
			return head, err
		}
		text, name, _ := strings.Cut(line, " ")
		if name != r.ref {
			continue // it starts alike
		}
		if head, ok = object.ParseID(text); !ok {
			return head, errNoGit
		}
	}
}

// end tells the server that nothing more is wanted.
func end(ctx context.Context, s session) {
	if stream, ok := s.(*stream); ok {
		answer, err := ask(ctx, stream, []byte(flushLine))
		if err == nil {
			answer.Close()
		}
	}
}

func command(name string) []byte {
	request := appendLine(nil, "command=%s", name)
	request = appendLine(request, "agent=kollect")
	return appendLine(request, "object-format=sha1")
}

func ask(ctx context.Context, s session, request []byte) (io.ReadCloser, error) {
	return s.ask(ctx, strings.NewReader(string(request)), int64(len(request)))
}

// IsRefused returns the refusal that an error is, or nil.
func IsRefused(err error) *Refused {
	var refused *Refused
	errors.As(err, &refused)
	return refused
}
