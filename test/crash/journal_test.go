package crash

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// event is a message, with the attributes that CloudEvents give it.
type event struct {
	kind, id, subject string
	data              []byte
}

// journal replays the events of one inventory, and holds them to what is promised.
type journal struct {
	rows      map[string]row
	ids       map[string]bool
	last      map[string]position // of each key
	events    int                 // of rows
	tombstone string              // the key of the last event, if that was of a row that is gone
	mark      mark
}

// position is where an event stands in the order of an inventory.
type position struct{ generation, number int64 }

func (p position) before(q position) bool {
	return p.generation < q.generation || p.generation == q.generation && p.number < q.number
}

// mark is what a checkpoint says.
type mark struct {
	Generation  int64
	ContentHash string
	Rows        int
	Time        time.Time
}

func newJournal() *journal {
	return &journal{rows: map[string]row{}, ids: map[string]bool{}, last: map[string]position{}}
}

// take takes the next event.
func (j *journal) take(e event) error {
	if j.ids[e.id] {
		return brokenf("two events %s", e.id)
	}
	j.ids[e.id] = true
	var err error
	switch e.kind {
	case "io.kollect.row.upserted.v1", "io.kollect.row.deleted.v1":
		err = j.takeRow(e)
	case "io.kollect.checkpoint.v1":
		err = j.takeMark(e)
	case "io.kollect.snapshot.begin.v1", "io.kollect.snapshot.end.v1":
	default:
		err = fmt.Errorf("an unknown type %s", e.kind)
	}
	if err != nil {
		return brokenf("event %s of row %s: %v", e.id, e.subject, err)
	}
	return nil
}

func (j *journal) takeRow(e event) error {
	at, err := positionOf(e.id)
	if err != nil {
		return err
	}
	if last, known := j.last[e.subject]; known && !last.before(at) {
		return fmt.Errorf("it follows %v", last)
	}
	if at.generation <= j.mark.Generation && j.mark.ContentHash != "" {
		return fmt.Errorf("it follows the checkpoint of generation %d", j.mark.Generation)
	}
	j.last[e.subject] = at
	j.events++
	j.tombstone = ""
	before, known := j.rows[e.subject]
	if e.kind == "io.kollect.row.deleted.v1" {
		j.tombstone = e.subject
		delete(j.rows, e.subject)
		if len(e.data) > 0 || !known {
			return fmt.Errorf("a tombstone with %d bytes, of a row that was there: %t", len(e.data), known)
		}
		return nil
	}
	var d document
	if err := json.Unmarshal(e.data, &d); err != nil {
		return err
	}
	if d.Key != e.subject {
		return fmt.Errorf("its data is of row %s", d.Key)
	}
	if known && fmt.Sprint(before) == fmt.Sprint(d.row()) {
		return fmt.Errorf("nothing has changed since the one before")
	}
	j.rows[e.subject] = d.row()
	return nil
}

func (j *journal) takeMark(e event) error {
	var m mark
	if err := json.Unmarshal(e.data, &m); err != nil {
		return err
	}
	if m.Generation < j.mark.Generation || m.Generation == j.mark.Generation && m.ContentHash != j.mark.ContentHash && j.mark.ContentHash != "" {
		return fmt.Errorf("generation %d of %s follows %d of %s", m.Generation, m.ContentHash, j.mark.Generation, j.mark.ContentHash)
	}
	j.mark = m
	if m.ContentHash != "" && m.Rows != len(j.rows) {
		return fmt.Errorf("%d rows are there, and it says %d", len(j.rows), m.Rows)
	}
	return nil
}

// content is what a consumer has who has read all.
func (j *journal) content() content {
	return content{Generation: j.mark.Generation, Hash: j.mark.ContentHash, Rows: j.rows, Events: j.events, Confirmed: j.mark.Time}
}

// positionOf reads <cluster>/<namespace>/<inventory>/<generation>/<number>.
func positionOf(id string) (p position, err error) {
	parts := strings.Split(id, "/")
	if len(parts) != 5 {
		return p, fmt.Errorf("its id has %d parts", len(parts))
	}
	if p.generation, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
		return p, err
	}
	p.number, err = strconv.ParseInt(parts[4], 10, 64)
	return p, err
}
