package sink

import (
	"errors"
	"time"
)

// ErrFenced says that the destination holds a generation that is not older, so
// that somebody else exports there, or did so since. Nothing was changed.
var ErrFenced = errors.New("the destination holds this generation or a newer one")

// ErrAbsent says that there is no table, stream or topic, and that it was to be made
// by nobody.
var ErrAbsent = errors.New("nothing is there yet: an export makes it")

// Permanent wraps an error that another try cannot mend: it stays until the
// sink's configuration, its Secret or the destination is changed by somebody.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err, or one that it wraps, is permanent.
func IsPermanent(err error) bool {
	var permanent permanentError
	return errors.As(err, &permanent)
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// RetryAfter wraps an error of a destination that says how long it wants to be left
// alone.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return retryAfterError{err, wait}
}

// RetryWait returns how long the destination wants to be left alone, as err or one
// that it wraps says; 0: nothing is said of it.
func RetryWait(err error) time.Duration {
	if after, ok := errors.AsType[retryAfterError](err); ok {
		return max(after.wait, 0)
	}
	return 0
}

type retryAfterError struct {
	error
	wait time.Duration
}

func (e retryAfterError) Unwrap() error { return e.error }
