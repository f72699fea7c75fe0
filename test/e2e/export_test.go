package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// pointer is what _latest.json says, of which a reader needs no more.
type pointer struct {
	Generation  int64     `json:"generation"`
	ContentHash string    `json:"contentHash"`
	Rows        int64     `json:"rows"`
	Data        string    `json:"data"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	ConfirmedAt time.Time `json:"confirmedAt"`
}

// place is where an inventory is exported.
type place struct {
	root   string // of the sink
	folder string // of the inventory, in root
}

// exports returns where an inventory goes, a cluster inventory if the namespace
// is empty, by a sink of the scene.
func (s *scene) exports(namespace, name string) place {
	if namespace == "" {
		namespace = "_cluster"
	}
	return place{
		root:   filepath.Join(s.server.SinkFileRoot(), s.ns),
		folder: fmt.Sprintf("inventory/cluster=%s/ns=%s/name=%s", clusterName, namespace, name),
	}
}

// read reads as a reader should: the pointer, and then the data that it names,
// which must be just what the pointer says.
func (p place) read() (pointer, []byte, error) {
	var latest pointer
	text, err := os.ReadFile(filepath.Join(p.root, p.folder, "_latest.json"))
	if err != nil {
		return latest, nil, err
	}
	if err := json.Unmarshal(text, &latest); err != nil {
		return latest, nil, fmt.Errorf("torn pointer: %w:\n%s", err, text)
	}
	data, err := os.ReadFile(filepath.Join(p.root, latest.Data))
	if err != nil {
		return latest, nil, fmt.Errorf("the pointer names data that is not there: %w", err)
	}
	digest := sha256.Sum256(data)
	rows, err := countRows(latest.Data, data)
	switch {
	case err != nil:
		return latest, nil, fmt.Errorf("torn data: %w", err)
	case latest.SHA256 != hex.EncodeToString(digest[:]) || latest.Size != int64(len(data)):
		return latest, nil, fmt.Errorf("torn data: %d bytes with SHA-256 %x, the pointer says %+v", len(data), digest, latest)
	case latest.Rows != rows:
		return latest, nil, fmt.Errorf("torn data: %d rows, the pointer says %+v", rows, latest)
	}
	return latest, data, nil
}

func countRows(name string, data []byte) (int64, error) {
	switch filepath.Ext(name) {
	case ".parquet":
		file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return 0, err
		}
		return file.NumRows(), nil
	case ".json":
		var snapshot struct{ Rows []json.RawMessage }
		err := json.Unmarshal(data, &snapshot)
		return int64(len(snapshot.Rows)), err
	default:
		var rows int64
		lines := bufio.NewScanner(bytes.NewReader(data))
		for ; lines.Scan(); rows++ {
			if !json.Valid(lines.Bytes()) {
				return rows, fmt.Errorf("line %d is not JSON", rows+1)
			}
		}
		return rows, lines.Err()
	}
}

// wantExport waits for an export of which check has no error, and returns it. An
// export that is torn fails at once.
func (s *scene) wantExport(at place, check func(pointer) error) (found pointer) {
	s.Helper()
	s.until(func() error {
		p, _, err := at.read()
		if err != nil && strings.Contains(err.Error(), "torn") {
			s.Fatal(err)
		}
		if err == nil {
			err = check(p)
		}
		found = p
		return err
	})
	return found
}

// above returns a check for a later generation with so many rows.
func above(generation int64, rows int64) func(pointer) error {
	return func(p pointer) error {
		if p.Generation <= generation || p.Rows != rows {
			return fmt.Errorf("exported: got %+v, want %d rows in a generation above %d", p, rows, generation)
		}
		return nil
	}
}

// confirmedSince returns a check for an export that was confirmed after a time.
func confirmedSince(moment time.Time) func(pointer) error {
	return func(p pointer) error {
		if !p.ConfirmedAt.After(moment) {
			return fmt.Errorf("exported: got %+v, want a confirmation after %s", p, moment)
		}
		return nil
	}
}

// files returns the files of the place, but for the pointer, by name with size
// and time, and nothing if the folder does not exist.
func (p place) files() ([]string, error) {
	var names []string
	err := filepath.WalkDir(filepath.Join(p.root, p.folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "_latest.json" {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			names = append(names, fmt.Sprintf("%s %d %s", path, info.Size(), info.ModTime()))
		}
		return err
	})
	if os.IsNotExist(err) {
		return nil, nil
	}
	return names, err
}
