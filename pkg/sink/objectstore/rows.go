package objectstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Rows reads back what the pointer names, and yields each row until yield returns
// an error, which it returns. The data is kept in a temporary file meanwhile, and
// is read once it is known to be what the pointer says.
func (s *Store) Rows(ctx context.Context, of *inventory.Inventory, yield func(inventory.Entry) error) error {
	folder, err := folderOf(of)
	if err != nil {
		return err
	}
	p, _, err := s.readPointer(ctx, of, folder)
	if err != nil || p == nil || p.Forgotten {
		return err
	}
	file, err := os.CreateTemp("", "kollect-*."+p.Format.Extension())
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := s.fetch(ctx, p, file); err != nil {
		return err
	}
	if p.Format == format.Parquet {
		return format.ReadParquet(file, p.Size, yield)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the temporary file: %w", err)
	}
	return format.ReadJSON(file, p.Format, yield)
}

// fetch copies the data to the file.
func (s *Store) fetch(ctx context.Context, p *pointer, file *os.File) error {
	key := s.prefix + p.Data
	digest := sha256.New()
	sized := &counting{w: io.MultiWriter(file, digest)}
	if err := s.bucket.fetch(ctx, key, sized); err != nil {
		return s.redact.wrap("read", key, err)
	}
	if sized.n != p.Size || hex.EncodeToString(digest.Sum(nil)) != p.SHA256 {
		return sink.Permanent(fmt.Errorf("read %s: it has %d bytes, and not the %d that _latest.json says, or others", key, sized.n, p.Size))
	}
	return nil
}
