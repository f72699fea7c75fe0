package git

import (
	"errors"
	"fmt"

	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// explain says what was tried and what would mend it, without secrets.
func (s *Store) explain(verb string, err error) error {
	if err == nil {
		return nil
	}
	message := s.redact.Text(fmt.Sprintf("%s: %v", verb, err))
	if mend := s.mend(err); mend != "" {
		return s.redact.Hide(message+": "+mend, sink.Permanent(err))
	}
	if mend := room(err); mend != "" {
		message += ": " + mend // there may be some again in a moment
	}
	return s.redact.Hide(message, err)
}

// room returns what makes more of it; empty: that is not what was missing.
func room(err error) string {
	const filters = "have the Git server send single objects (uploadpack.allowFilter), or give the sink a repository of its own"
	switch {
	case errors.Is(err, object.ErrNoTemp):
		return "raise --sink-temp-size of the server, and the size of its folder for temporary files with it; of what the Git server sends: " + filters
	case errors.Is(err, object.ErrNoMemory):
		return filters
	}
	return ""
}

// mend returns what somebody has to do; empty: another try may help.
func (s *Store) mend(err error) string {
	switch {
	case errors.Is(err, remote.ErrUnauthorized):
		return "let who the Secret of spec.secretRef says read the repository and push to the branch, or correct the Secret"
	case errors.Is(err, remote.ErrNotFound):
		return "correct spec.git.url, or let who the Secret of spec.secretRef says see the repository"
	case errors.Is(err, remote.ErrUnsuited):
		return "correct spec.git.url"
	case errors.Is(err, remote.ErrUntrusted) && s.scheme == "ssh":
		return "if the server's operator confirms it, put its host key into known_hosts of the Secret of spec.secretRef"
	case errors.Is(err, remote.ErrUntrusted):
		return "put the certificate of the server's authority into ca.crt of the Secret of spec.secretRef"
	case remote.IsRefused(err) != nil && !remote.IsRefused(err).Broken():
		return "let who the Secret of spec.secretRef says push to spec.git.branch, with the server's rules for branches, or choose another"
	}
	return ""
}
