package object

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Revision is what a commit says.
type Revision struct {
	Tree   ID
	Parent ID // zero: it is the first
	Author Author
	Time   time.Time
	// Message ends with a newline.
	Message string
}

// Author of a commit.
type Author struct{ Name, Email string }

// Encode returns the commit, with the signature that sign makes of it, unless sign
// is nil.
func (r Revision) Encode(sign func(content []byte) (string, error)) ([]byte, error) {
	var head, rest bytes.Buffer
	fmt.Fprintf(&head, "tree %s\n", r.Tree)
	if !r.Parent.IsZero() {
		fmt.Fprintf(&head, "parent %s\n", r.Parent)
	}
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(&head, "%s %s <%s> %d +0000\n", role, r.Author.Name, r.Author.Email, r.Time.Unix())
	}
	fmt.Fprintf(&rest, "\n%s", r.Message)
	if sign == nil {
		return append(head.Bytes(), rest.Bytes()...), nil
	}
	signature, err := sign(append(bytes.Clone(head.Bytes()), rest.Bytes()...))
	if err != nil {
		return nil, err
	}
	lines := strings.ReplaceAll(strings.TrimSuffix(signature, "\n"), "\n", "\n ")
	fmt.Fprintf(&head, "gpgsig %s\n", lines)
	return append(head.Bytes(), rest.Bytes()...), nil
}

// TreeOf returns the tree of a commit.
func TreeOf(commit []byte) (ID, error) {
	line, _, _ := bytes.Cut(commit, []byte("\n"))
	if text, ok := bytes.CutPrefix(line, []byte("tree ")); ok {
		if id, ok := ParseID(string(text)); ok {
			return id, nil
		}
	}
	return ID{}, errors.New("it is not a commit")
}
