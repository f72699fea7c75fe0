package objectstore

import (
	"context"
	"io"

	"kollect.io/kollect/pkg/sink/sinktest"
)

// faults fails the steps of buckets on cue.
type faults struct{ sinktest.Injector }

// do does a step of all or nothing.
func (f *faults) do(step func() error) error {
	fails, how := f.Step()
	if fails && how != sinktest.Unanswered {
		return sinktest.ErrInjected
	}
	if err := step(); err != nil {
		return err
	}
	if fails {
		return sinktest.ErrInjected
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

func (f faulty) read(ctx context.Context, key string, limit int64) (data []byte, version string, err error) {
	err = f.do(func() error {
		data, version, err = f.bucket.read(ctx, key, limit)
		return err
	})
	return data, version, err
}

func (f faulty) swap(ctx context.Context, key, contentType string, data []byte, version string) error {
	return f.do(func() error {
		f.Add(len(data))
		return f.bucket.swap(ctx, key, contentType, data, version)
	})
}

func (f faulty) list(ctx context.Context, prefix string, limit int) (objects []object, err error) {
	err = f.do(func() error {
		objects, err = f.bucket.list(ctx, prefix, limit)
		return err
	})
	return objects, err
}

func (f faulty) folders(ctx context.Context, parent string) (folders []string, err error) {
	err = f.do(func() error {
		folders, err = f.bucket.folders(ctx, parent)
		return err
	})
	return folders, err
}

func (f faulty) remove(ctx context.Context, key string) error {
	return f.do(func() error { return f.bucket.remove(ctx, key) })
}

type faultyWriter struct {
	w io.Writer
	f *faults
}

func (w faultyWriter) Write(p []byte) (n int, err error) {
	fails, how := w.f.Step()
	if fails && how == sinktest.Cut {
		p = p[:len(p)/2]
	}
	if !fails || how != sinktest.Refused {
		n, err = w.w.Write(p)
		w.f.Add(n)
	}
	if fails {
		return n, sinktest.ErrInjected
	}
	return n, err
}

// failingList is a bucket that does not let itself be listed.
type failingList struct{ bucket }

func (failingList) list(context.Context, string, int) ([]object, error) {
	return nil, sinktest.ErrInjected
}
