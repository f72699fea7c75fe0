package objectstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"kollect.io/kollect/pkg/sink"
)

// folder is a bucket in the file system. gocloud.dev's own would follow links
// out of it, checks and creates in two steps, and does not flush to the disk.
//
// Nothing outside of the root is reached, whatever links there are. Objects
// appear by a rename of what is safely on the disk, under a lock that holds
// between processes.
type folder struct{ root *os.Root }

func openFolder(below []string, options Options) (bucket, error) {
	if options.FileRoot == "" {
		return nil, sink.Permanent(errors.New("spec.objectStore.url: file URLs are off: start the server with --sink-file-root, or use s3, gs or azblob"))
	}
	root, err := os.OpenRoot(options.FileRoot)
	if err != nil {
		return nil, fmt.Errorf("open the folder of --sink-file-root: %w", reason(err))
	}
	if len(below) == 0 {
		return &folder{root}, nil
	}
	defer root.Close()
	name := strings.Join(below, "/")
	if err := root.MkdirAll(name, 0o755); err != nil {
		return nil, sink.Permanent(fmt.Errorf("spec.objectStore.url: make folder %s below --sink-file-root: %w", name, reason(err)))
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return nil, sink.Permanent(fmt.Errorf("spec.objectStore.url: open folder %s below --sink-file-root: %w", name, reason(err)))
	}
	return &folder{sub}, nil
}

// reason leaves the server's own paths out of an error of the file system.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// explain says what would mend the errors that operators meet.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: free some space below --sink-file-root, or raise the limit", reason(err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return sink.Permanent(fmt.Errorf("%w: let the server's user write below --sink-file-root", reason(err)))
	}
	return err
}

func (f *folder) create(ctx context.Context, key, _ string, write func(io.Writer) error) error {
	temporary, err := f.temporary(ctx, key, write)
	if err != nil {
		return explain(err)
	}
	defer f.root.Remove(temporary) // does nothing after the rename
	return explain(f.locked(ctx, key, func() error {
		if _, err := f.root.Lstat(key); err == nil {
			return errExists
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return f.rename(temporary, key)
	}))
}

func (f *folder) read(_ context.Context, key string, limit int64) ([]byte, string, error) {
	file, err := f.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", errNotFound
	}
	if err != nil {
		return nil, "", explain(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	return data, "=" + string(data), explain(err)
}

func (f *folder) fetch(ctx context.Context, key string, w io.Writer) error {
	file, err := f.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return errNotFound
	}
	if err != nil {
		return explain(err)
	}
	defer file.Close()
	_, err = io.Copy(cancelable{ctx, w}, file)
	return explain(err)
}

// swap takes the content for the version.
func (f *folder) swap(ctx context.Context, key, _ string, data []byte, version string) error {
	temporary, err := f.temporary(ctx, key, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(data))
		return err
	})
	if err != nil {
		return explain(err)
	}
	defer f.root.Remove(temporary)
	return explain(f.locked(ctx, key, func() error {
		_, current, err := f.read(ctx, key, maxList)
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		if current != version {
			return errChanged
		}
		return f.rename(temporary, key)
	}))
}

// temporary writes a file beside key, to the disk, and returns its name.
func (f *folder) temporary(ctx context.Context, key string, write func(io.Writer) error) (name string, err error) {
	dir := path.Dir(key)
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name = path.Join(dir, temporaryMark+rand.Text())
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			f.root.Remove(name)
		}
	}()
	err = write(cancelable{ctx, file})
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = ctx.Err()
	}
	return name, err
}

// rename puts the file in its place, on the disk too.
func (f *folder) rename(from, to string) error {
	if err := f.root.Rename(from, to); err != nil {
		return err
	}
	dir, err := f.root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

const (
	lockName = ".lock"
	// A lock is held for a few disk writes.
	lockPatience = 10 * time.Second
	lockInterval = 5 * time.Millisecond
)

// locked calls do while no other process changes objects in key's folder.
func (f *folder) locked(ctx context.Context, key string, do func() error) error {
	file, err := f.root.OpenFile(path.Join(path.Dir(key), lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close() // unlocks
	ctx, cancel := context.WithTimeoutCause(ctx, lockPatience, errors.New("another process holds the lock of the folder"))
	defer cancel()
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		done, err := tryLock(file)
		if err != nil {
			return fmt.Errorf("lock folder: %w", err)
		}
		if done {
			return do()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (f *folder) list(ctx context.Context, prefix string, limit int) ([]object, error) {
	var objects []object
	err := fs.WalkDir(f.root.FS(), strings.TrimSuffix(prefix, "/"), func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there is no such folder, or it was removed meanwhile
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if objects = append(objects, object{key: name, modified: info.ModTime()}); len(objects) >= limit {
			return fs.SkipAll
		}
		return nil
	})
	return objects, explain(err)
}

func (f *folder) folders(_ context.Context, parent string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), strings.TrimSuffix(parent, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, parent+entry.Name()+"/")
		}
	}
	return folders, explain(err)
}

func (f *folder) remove(_ context.Context, key string) error {
	err := f.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return explain(err)
}

// address returns none: where the folder is mounted for readers is not known, and
// those who need addresses read no folders.
func (f *folder) address(string) string { return "" }

func (f *folder) close() error { return f.root.Close() }

// cancelable ends a write when the context ends.
type cancelable struct {
	ctx context.Context
	w   io.Writer
}

func (c cancelable) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
