package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// ReadJSON yields the rows of what Write wrote as JSON or NDJSON, until yield
// returns an error, which it returns. It holds one row at a time.
func ReadJSON(r io.Reader, f Format, yield func(inventory.Entry) error) error {
	decoder := json.NewDecoder(r)
	if f == JSON {
		if err := seekRows(decoder); err != nil {
			return fmt.Errorf("read the head of the snapshot: %w", err)
		}
	}
	known := newShared()
	for n := 1; decoder.More(); n++ {
		var line jsonLine
		if err := decoder.Decode(&line); err != nil {
			return fmt.Errorf("read row %d: %w", n, err)
		}
		entry, err := known.entry(line)
		if err != nil {
			return fmt.Errorf("read row %d: %w", n, err)
		}
		if err := yield(entry); err != nil {
			return err
		}
	}
	end, err := decoder.Token()
	if f == JSON && end == json.Delim(']') || f != JSON && errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read the end of the snapshot: %w", errors.Join(err, errNotSnapshot))
}

// seekRows reads a document up to, and with, the bracket before the rows.
func seekRows(decoder *json.Decoder) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errors.Join(err, errNotSnapshot)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if name == "rows" {
			if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
				return errors.Join(err, errNotSnapshot)
			}
			return nil
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			return err
		}
	}
	return errNotSnapshot
}

var errNotSnapshot = errors.New("it is not a snapshot")

// jsonLine is what AppendRow writes.
type jsonLine struct {
	Key    string
	Target struct{ Namespace, Name string }
	Source struct {
		Group, Version, Resource, Kind string
		Namespace, Name, UID           string
		CreationTimestamp              time.Time
	}
	Labels     map[string]string
	Attributes json.RawMessage
}

// parquetLine has the columns of a file that make a row; the others repeat them.
type parquetLine struct {
	Key             string `parquet:"row_key"`
	TargetNamespace string `parquet:"target_namespace"`
	TargetName      string `parquet:"target_name"`
	Group           string `parquet:"api_group"`
	Version         string `parquet:"api_version"`
	Resource        string `parquet:"resource"`
	Kind            string `parquet:"kind"`
	Namespace       string `parquet:"resource_namespace"`
	Name            string `parquet:"resource_name"`
	UID             string `parquet:"uid"`
	Created         *int64 `parquet:"created_at,optional,timestamp(millisecond)"`
	Labels          string `parquet:"labels,json"`
	Attributes      string `parquet:"attributes,json"`
}

// ReadParquet yields the rows of a file of that size that Write wrote as Parquet,
// until yield returns an error, which it returns. It holds some rows at a time.
func ReadParquet(r io.ReaderAt, size int64, yield func(inventory.Entry) error) (err error) {
	defer func() {
		if p := recover(); p != nil { // the library's, of a file that is not one
			err = fmt.Errorf("read rows: %v", p)
		}
	}()
	file, err := parquet.OpenFile(r, size)
	if err != nil {
		return fmt.Errorf("read the end of the file: %w", err)
	}
	reader := parquet.NewGenericReader[parquetLine](file)
	defer reader.Close()
	known := newShared()
	lines := make([]parquetLine, batchRows)
	for {
		n, err := reader.Read(lines)
		for i := range lines[:n] {
			entry, bad := known.entryOf(&lines[i])
			if bad != nil {
				return fmt.Errorf("read rows: %w", bad)
			}
			if stop := yield(entry); stop != nil {
				return stop
			}
		}
		clear(lines) // null leaves what was there
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
	}
}

// shared has what rows share once.
type shared struct {
	resources map[inventory.Resource]*inventory.Resource
	targets   map[inventory.TargetRef]*inventory.TargetRef
	texts     map[string]string
}

func newShared() *shared {
	return &shared{
		resources: map[inventory.Resource]*inventory.Resource{},
		targets:   map[inventory.TargetRef]*inventory.TargetRef{},
		texts:     map[string]string{},
	}
}

func (s *shared) entryOf(l *parquetLine) (inventory.Entry, error) {
	line := jsonLine{Key: l.Key, Attributes: json.RawMessage(l.Attributes)}
	line.Target.Namespace, line.Target.Name = l.TargetNamespace, l.TargetName
	source := &line.Source
	source.Group, source.Version, source.Resource, source.Kind = l.Group, l.Version, l.Resource, l.Kind
	source.Namespace, source.Name, source.UID = l.Namespace, l.Name, l.UID
	if l.Created != nil {
		source.CreationTimestamp = time.UnixMilli(*l.Created)
	}
	if err := json.Unmarshal([]byte(l.Labels), &line.Labels); err != nil {
		return inventory.Entry{}, fmt.Errorf("labels of row %s: %w", l.Key, err)
	}
	return s.entry(line)
}

func (s *shared) entry(l jsonLine) (inventory.Entry, error) {
	key, ok := inventory.ParseKey(l.Key)
	if !ok {
		return inventory.Entry{}, fmt.Errorf("%.40q is not a row's key", l.Key)
	}
	source := &l.Source
	return inventory.Entry{Key: key, Row: inventory.NewRow(inventory.RowContent{
		Resource: intern(s.resources, inventory.Resource{
			Group: source.Group, Version: source.Version, Resource: source.Resource, Kind: source.Kind,
		}),
		Target:    intern(s.targets, inventory.TargetRef{Namespace: l.Target.Namespace, Name: l.Target.Name}),
		Namespace: s.text(source.Namespace),
		Name:      source.Name, UID: source.UID,
		Created:    source.CreationTimestamp,
		Labels:     l.Labels,
		Attributes: l.Attributes,
	})}, nil
}

func (s *shared) text(text string) string {
	if known, ok := s.texts[text]; ok {
		return known
	}
	s.texts[text] = text
	return text
}

func intern[T comparable](known map[T]*T, value T) *T {
	if p := known[value]; p != nil {
		return p
	}
	known[value] = &value
	return &value
}
