package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"kollect.io/kollect/pkg/sink"
)

const (
	// partSize and uploads bound the memory of an upload.
	partSize = 8 << 20
	uploads  = 2
)

// blobs is a bucket of a cloud.
type blobs struct {
	bucket *blob.Bucket
	// version returns the version of the object that is read.
	version func(*blob.Reader) string
	// ifVersion makes a write fail unless the object has that version.
	ifVersion func(as func(any) bool, version string) error
	// class gives what is written the storage class of the sink, if it has one.
	class func(as func(any) bool) error
	// root is the address below which the objects are, with a slash at its end, or
	// empty.
	root string
	// hint names the rights that an access needs.
	hint string
}

// create streams through a pipe into Upload: the Writer of azureblob panics when
// an upload fails while it is closed.
func (b *blobs) create(ctx context.Context, key, contentType string, write func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, writer := io.Pipe()
	var writeErr error
	written := make(chan struct{})
	go func() {
		defer close(written)
		writeErr = contained(writer, write)
		writer.CloseWithError(writeErr)
	}()
	stop := func() {
		reader.CloseWithError(errStopped)
		<-written
	}
	defer stop() // a driver may panic
	options := &blob.WriterOptions{ContentType: contentType, IfNotExist: true, BufferSize: partSize, MaxConcurrency: uploads}
	if isData(key) {
		options.BeforeWrite = b.class
	}
	err := b.bucket.Upload(ctx, key, aborting{reader, cancel}, options)
	stop()
	if writeErr != nil && !errors.Is(writeErr, errStopped) {
		return writeErr
	}
	return b.explain(err, errExists)
}

// contained returns a panic of write as an error: nobody else could recover that
// of a goroutine.
func contained(w io.Writer, write func(io.Writer) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = sink.Permanent(fmt.Errorf("encode rows: panic: %v", p))
		}
	}()
	return write(w)
}

var errStopped = errors.New("the upload has ended")

// aborting cancels the upload when reading fails: drivers would otherwise keep
// what they were given so far as a whole object.
type aborting struct {
	r      io.Reader
	cancel context.CancelFunc
}

func (a aborting) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF {
		a.cancel()
	}
	return n, err
}

func (b *blobs) read(ctx context.Context, key string, limit int64) ([]byte, string, error) {
	reader, err := b.bucket.NewReader(ctx, key, nil)
	if missing(err) {
		return nil, "", errNotFound
	}
	if err != nil {
		return nil, "", b.explain(err, err)
	}
	defer reader.Close()
	data, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, "", b.explain(err, err)
	}
	version := b.version(reader)
	if version == "" {
		return nil, "", fmt.Errorf("the store gave no version of it")
	}
	return data, version, nil
}

func (b *blobs) fetch(ctx context.Context, key string, w io.Writer) error {
	reader, err := b.bucket.NewReader(ctx, key, nil)
	if missing(err) {
		return errNotFound
	}
	if err != nil {
		return b.explain(err, err)
	}
	defer reader.Close()
	_, err = io.Copy(w, reader)
	return b.explain(err, err)
}

func (b *blobs) swap(ctx context.Context, key, contentType string, data []byte, version string) error {
	options := &blob.WriterOptions{ContentType: contentType, CacheControl: "no-cache"}
	if version == "" {
		options.IfNotExist = true
	} else {
		options.BeforeWrite = func(as func(any) bool) error { return b.ifVersion(as, version) }
	}
	return b.explain(b.bucket.Upload(ctx, key, bytes.NewReader(data), options), errChanged)
}

func (b *blobs) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	var objects []object
	it := b.bucket.List(&blob.ListOptions{Prefix: prefix})
	for len(objects) < limit {
		o, err := it.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, b.explain(err, err)
		}
		objects = append(objects, object{key: o.Key, modified: o.ModTime})
	}
	return objects, nil
}

func (b *blobs) folders(ctx context.Context, parent string) ([]string, error) {
	var folders []string
	it := b.bucket.List(&blob.ListOptions{Prefix: parent, Delimiter: "/"})
	for {
		o, err := it.Next(ctx)
		if err == io.EOF {
			return folders, nil
		}
		if err != nil {
			return nil, b.explain(err, err)
		}
		if o.IsDir {
			folders = append(folders, o.Key)
		}
	}
}

func (b *blobs) remove(ctx context.Context, key string) error {
	err := b.bucket.Delete(ctx, key)
	if missing(err) {
		return nil
	}
	return b.explain(err, err)
}

func (b *blobs) address(key string) string {
	if b.root == "" {
		return ""
	}
	return b.root + key
}

func (b *blobs) close() error { return b.bucket.Close() }
