// Package fetched keeps what others publish, for tests to run, in the checkout's
// _bin. Its invariant: what is there is complete.
package fetched

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"kollect.io/kollect/test/controlplane"
)

// Folder is one of _bin.
type Folder struct {
	// Name of the folder, in part.
	Name string
	// Title is what people call what is in it, and how large it is.
	Title string
	// Value is what says what to fetch: there is a folder for each value.
	Value []byte
	// Fetch fills the folder part.
	Fetch func(ctx context.Context, part string) error
}

// Get fetches what is not there yet, and returns the folder. It says on log what
// takes a while.
func (f Folder) Get(ctx context.Context, log io.Writer) (string, error) {
	root, err := controlplane.Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "_bin", fmt.Sprintf("%s-%08x", f.Name, crc32.ChecksumIEEE(f.Value)))
	if exists(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	unlock, err := controlplane.Lock(ctx, log, folder+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(folder) { // meanwhile
		return folder, nil
	}
	return folder, f.get(ctx, log, folder)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (f Folder) get(ctx context.Context, log io.Writer, folder string) error {
	part := folder + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(log, "fetching %s\n", f.Title)
	if err := f.Fetch(ctx, part); err != nil {
		return fmt.Errorf("fetch %s: %w", f.Title, err)
	}
	fmt.Fprintf(log, "fetched %s in %.0fs\n", f.Title, time.Since(began).Seconds())
	return os.Rename(part, folder)
}
