package cloudevent

import (
	"encoding/json"
	"fmt"
	"time"

	"kollect.io/kollect/pkg/sink"
)

// Marker returns an event of type SnapshotBegin, SnapshotEnd or Checkpoint, with
// the mark as its data. sequence, of any printable text, is of no other event of
// the export.
func (x *Export) Marker(sequence, kind string, mark sink.Mark) (*Event, error) {
	e := &Event{}
	x.begin(e, []byte(x.id+Segment(sequence)), shared(kind))
	data, err := json.Marshal(document{
		Cluster: x.of.Cluster, Namespace: x.of.Namespace, Name: x.of.Name,
		Generation: mark.Generation, ContentHash: mark.Hash, Schema: mark.Schema, Rows: mark.Rows, Time: mark.Time.UTC(),
		Forgotten: mark.Forgotten,
	})
	if err != nil {
		return nil, fmt.Errorf("encode mark: %w", err)
	}
	e.Data = data
	return e, nil
}

// document is a mark as data.
type document struct {
	Cluster     string    `json:"cluster"`
	Namespace   string    `json:"namespace,omitempty"`
	Name        string    `json:"name"`
	Generation  int64     `json:"generation"`
	ContentHash string    `json:"contentHash"`
	Schema      string    `json:"schema"`
	Rows        int64     `json:"rows"`
	Time        time.Time `json:"time"`
	Forgotten   bool      `json:"forgotten,omitempty"`
}
