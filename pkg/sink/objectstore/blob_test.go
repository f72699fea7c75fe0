package objectstore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/memblob"

	"kollect.io/kollect/pkg/sink"
)

func TestAPanicWhileEncodingIsAnError(t *testing.T) {
	memory := memblob.OpenBucket(nil)
	defer memory.Close()
	b := memoryBlobs(memory)
	err := b.create(t.Context(), "key", "text/plain", func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		panic("boom")
	})
	if err == nil || !strings.Contains(err.Error(), "boom") || !sink.IsPermanent(err) {
		t.Errorf("error %v, want the panic, as a permanent one", err)
	}
	if _, _, err := b.read(t.Context(), "key", maxPointer); !errors.Is(err, errNotFound) {
		t.Errorf("what was written so far was kept: %v", err)
	}
}

// panicking is a bucket's driver that panics once it was given some data.
type panicking struct{ driver.Bucket }

func (panicking) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	panic("boom")
}

func (panicking) Close() error { return nil }

func TestAPanicOfADriverLeavesNoWriterBehind(t *testing.T) {
	bucket := blob.NewBucket(panicking{})
	defer bucket.Close()
	ended := make(chan error, 1)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the driver did not panic")
			}
		}()
		_ = memoryBlobs(bucket).create(t.Context(), "key", "text/plain", func(w io.Writer) error {
			_, err := io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20)))
			ended <- err
			return err
		})
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, errStopped) {
			t.Errorf("the writer ended with %v", err)
		}
	default:
		t.Error("the writer is blocked")
	}
}
