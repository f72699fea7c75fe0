package crash

import (
	"fmt"
	"strings"
	"testing"
)

// With an inventory's last object its last row goes, and a consumer is told.
func TestTheLastRowGoesWithItsObject(t *testing.T) {
	s := begin(t, "last")
	s.must(s.put(t.Context(), few, "only"))
	s.settle()
	var key string
	for name, c := range s.contents() {
		if !strings.HasSuffix(name, " of "+few) {
			continue
		}
		if len(c.Rows) != 1 {
			t.Errorf("%s: %d rows, want 1", name, len(c.Rows))
		}
		for key = range c.Rows {
		}
	}

	s.must(s.remove(t.Context(), "only"))
	s.settle()
	for name, c := range s.contents() {
		if len(c.Rows) != 0 {
			t.Errorf("%s: %d rows, want none", name, len(c.Rows))
		}
	}
	for _, d := range s.destinations {
		switch d := d.(type) {
		case *table:
			rows, err := d.server.Psql(t.Context(), "postgres", fmt.Sprintf("select count(*) from inventory.rows where inventory_namespace = '%s'", s.ns))
			if err != nil || strings.TrimSpace(rows) != "0" {
				t.Errorf("psql finds %q rows (%v), want 0", rows, err)
			}
		case *stream:
			if got := d.tails[d.filter(s.ns, few)].tombstone; got != key || key == "" {
				t.Errorf("the last event is a tombstone of %q, want of %q", got, key)
			}
		}
	}
}
