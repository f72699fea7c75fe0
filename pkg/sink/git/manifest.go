package git

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/remote"
)

const (
	manifestName = ".kollect.json"
	manifestKind = "GitInventory"
)

// manifest says what the branch holds of an inventory. It is a file rather than
// what the messages of commits say, which others squash and rebase.
type manifest struct {
	APIVersion  string     `json:"apiVersion"`
	Kind        string     `json:"kind"`
	Cluster     string     `json:"cluster"`
	Namespace   string     `json:"namespace,omitempty"`
	Name        string     `json:"name"`
	Layout      string     `json:"layout,omitempty"`
	Format      string     `json:"format,omitempty"`
	Schema      string     `json:"schema,omitempty"`
	Generation  int64      `json:"generation"`
	ContentHash string     `json:"contentHash,omitempty"`
	Rows        int64      `json:"rows"`
	ExportedAt  time.Time  `json:"exportedAt"`
	ConfirmedAt *time.Time `json:"confirmedAt,omitempty"`
	// Forgotten says that nothing is held: the manifest is there to fence.
	Forgotten bool `json:"forgotten,omitempty"`
}

func (m *manifest) encode() []byte {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil { // it has but strings, numbers and times
		panic(err)
	}
	return append(data, '\n')
}

func (m *manifest) mark() sink.Mark {
	mark := sink.Mark{Generation: m.Generation, Time: m.ExportedAt, Forgotten: m.Forgotten}
	if m.Forgotten {
		return mark
	}
	if m.ConfirmedAt != nil {
		mark.Time = *m.ConfirmedAt
	}
	mark.Hash, mark.Schema, mark.Rows = m.ContentHash, m.Schema, m.Rows
	return mark
}

// of reports whether it is the inventory's.
func (m *manifest) of(of *inventory.Inventory) bool {
	return m.Cluster == of.Cluster && m.Namespace == of.Namespace && m.Name == of.Name
}

// looksLikeManifest reports whether a file may be one.
func looksLikeManifest(data []byte) bool { return bytes.Contains(data, []byte(manifestKind)) }

// parseManifest reads a manifest of any inventory.
func parseManifest(data []byte) (*manifest, error) {
	m := &manifest{}
	if len(data) > remote.MaxBlob {
		return nil, fmt.Errorf("it is larger than %d bytes", remote.MaxBlob)
	}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, errors.New("it is not JSON")
	}
	switch {
	case m.APIVersion != format.APIVersion || m.Kind != manifestKind:
		return nil, fmt.Errorf("it is not of kind %s in %s", manifestKind, format.APIVersion)
	case m.Generation <= 0 || m.Generation > sink.MaxGeneration || m.Rows < 0 || m.ExportedAt.IsZero() || m.ContentHash == "" && !m.Forgotten:
		return nil, errors.New("its generation, rows, contentHash or exportedAt is missing, or is none")
	}
	return m, nil
}
