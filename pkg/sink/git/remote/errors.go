package remote

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnauthorized says that the server does not let the sink in, or not do this.
	ErrUnauthorized = errors.New("the server does not allow it")
	// ErrNotFound says that the server knows no such repository, or does not tell.
	ErrNotFound = errors.New("the server has no such repository")
	// ErrUnsuited says that the server, or the repository, is none that can be used.
	ErrUnsuited = errors.New("it can't be used")
	// ErrMoved says that the branch is not where it was a moment ago.
	ErrMoved = errors.New("the branch moved")
	// ErrUntrusted says that the server is not who it should be.
	ErrUntrusted = errors.New("the server is not trusted")
)

// Refused is the error of a push that the server did not take: somebody else pushed
// meanwhile, or it is not allowed.
type Refused struct {
	Reason   string
	Messages string // what the server says to people
}

func (r *Refused) Error() string {
	if r.Messages == "" {
		return "the server refused the push: " + r.Reason
	}
	return fmt.Sprintf("the server refused the push: %s: %s", r.Reason, r.Messages)
}

// Raced reports whether the reason is that somebody else pushed meanwhile, or is
// about to.
func (r *Refused) Raced() bool {
	for _, words := range []string{"fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "already exists", "stale info"} {
		if strings.Contains(r.Reason, words) {
			return true
		}
	}
	return false
}

// Broken reports whether the server could not take in what was pushed, as with a
// full disk, whatever its rules are.
func (r *Refused) Broken() bool { return strings.HasPrefix(r.Reason, unpackFailed) }

const unpackFailed = "unpack: "

// serverError is what a server says went wrong there.
func serverError(message string) error {
	if strings.Contains(message, "not our ref") {
		return fmt.Errorf("%w: the server says: %s", ErrMoved, message)
	}
	return fmt.Errorf("the server says: %s", message)
}
