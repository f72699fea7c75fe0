package objectstore

import (
	"context"
	"errors"
	"io"
	"sync"

	"kollect.io/kollect/pkg/sink/sinktest"
)

var errInjected = errors.New("injected: connection reset")

// faults fails the steps of buckets on cue.
type faults struct {
	mu      sync.Mutex // guards what follows
	left    int        // steps before the first that fails; negative: none fails
	how     sinktest.Interruption
	failed  bool
	written int64
}

func (f *faults) Interrupt(n int, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.how, f.failed = n, how, false
}

func (f *faults) Interrupted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *faults) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// step reports whether the next step fails.
func (f *faults) step() (fails bool, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.left < 0:
		return false, 0
	case f.left > 0:
		f.left--
		return false, 0
	}
	f.failed = true
	return true, f.how
}

// do does a step of all or nothing.
func (f *faults) do(step func() error) error {
	fails, how := f.step()
	if fails && how != sinktest.Unanswered {
		return errInjected
	}
	if err := step(); err != nil {
		return err
	}
	if fails {
		return errInjected
	}
	return nil
}

// faulty is a bucket whose accesses, and each write of data, are steps.
type faulty struct {
	bucket
	*faults
}

func (f faulty) create(ctx context.Context, key, contentType string, write func(io.Writer) error) error {
	return f.do(func() error {
		return f.bucket.create(ctx, key, contentType, func(w io.Writer) error {
			return write(faultyWriter{w, f.faults})
		})
	})
}

func (f faulty) read(ctx context.Context, key string) (data []byte, version string, err error) {
	err = f.do(func() error {
		data, version, err = f.bucket.read(ctx, key)
		return err
	})
	return data, version, err
}

func (f faulty) swap(ctx context.Context, key string, data []byte, version string) error {
	return f.do(func() error {
		f.add(len(data))
		return f.bucket.swap(ctx, key, data, version)
	})
}

func (f faulty) list(ctx context.Context, prefix string, limit int) (objects []object, err error) {
	err = f.do(func() error {
		objects, err = f.bucket.list(ctx, prefix, limit)
		return err
	})
	return objects, err
}

func (f faulty) remove(ctx context.Context, key string) error {
	return f.do(func() error { return f.bucket.remove(ctx, key) })
}

func (f *faults) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(n)
}

type faultyWriter struct {
	w io.Writer
	f *faults
}

func (w faultyWriter) Write(p []byte) (n int, err error) {
	fails, how := w.f.step()
	if fails && how == sinktest.Cut {
		p = p[:len(p)/2]
	}
	if !fails || how != sinktest.Refused {
		n, err = w.w.Write(p)
		w.f.add(n)
	}
	if fails {
		return n, errInjected
	}
	return n, err
}

// failingList is a bucket that does not let itself be listed.
type failingList struct{ bucket }

func (failingList) list(context.Context, string, int) ([]object, error) { return nil, errInjected }
