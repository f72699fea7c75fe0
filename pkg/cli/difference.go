package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"kollect.io/kollect/pkg/inventory"
)

// change is a row that an export would add, change or remove.
type change struct {
	Key   string `json:"key"`
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	// Namespace and Name are of the source object. A destination that holds rows one
	// by one does not say which object a row was of that is to be removed: those have
	// but the target.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Target    string `json:"target"`
}

// difference is what an export would do.
type difference struct {
	Inventory   string   `json:"inventory"`
	Cluster     string   `json:"cluster"`
	Sink        string   `json:"sink"`
	Generation  int64    `json:"generation"`        // that is held
	ContentHash string   `json:"contentHash"`       // of the inventory
	Waiting     []string `json:"waiting,omitempty"` // targets whose first list is not complete
	Added       []change `json:"added"`
	Changed     []change `json:"changed"`
	Removed     []change `json:"removed"`
	Unchanged   int64    `json:"unchanged"`
	LeftAlone   int64    `json:"leftAlone,omitempty"` // rows that are held of waiting targets
}

func (d *difference) empty() bool { return len(d.Added)+len(d.Changed)+len(d.Removed) == 0 }

// heldRow is a row that a destination holds.
type heldRow struct {
	hash   inventory.RowHash
	origin inventory.Origin
	object object
}

// object names a row's source object, where it is known.
type object struct{ namespace, name string }

// comparison compares what an inventory has with what a destination holds, each
// row once.
type comparison struct {
	held map[inventory.Key]heldRow // what was not compared yet
	// waits reports whether the rows of a target are left alone.
	waits func(inventory.TargetRef) bool
	difference
}

// row compares a row of the inventory.
func (c *comparison) row(e inventory.Entry) {
	h, there := c.held[e.Key]
	delete(c.held, e.Key)
	switch {
	case c.waits(e.Row.Target()) || there && c.waits(h.origin.Target):
		if there {
			c.LeftAlone++
		}
	case !there:
		c.Added = append(c.Added, changeOf(e.Key, e.Row.Origin(), objectOf(e.Row)))
	case h.hash != e.Row.Hash():
		c.Changed = append(c.Changed, changeOf(e.Key, e.Row.Origin(), objectOf(e.Row)))
	default:
		c.Unchanged++
	}
}

// end notes what the inventory does not have.
func (c *comparison) end() {
	for key, h := range c.held {
		if c.waits(h.origin.Target) {
			c.LeftAlone++
			continue
		}
		c.Removed = append(c.Removed, changeOf(key, h.origin, h.object))
	}
	c.held = nil
	for _, changes := range [][]change{c.Added, c.Changed, c.Removed} {
		slices.SortFunc(changes, func(a, b change) int {
			return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Group, b.Group),
				strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Key, b.Key))
		})
	}
}

func objectOf(row *inventory.Row) object { return object{row.Namespace(), row.Name()} }

func changeOf(key inventory.Key, origin inventory.Origin, of object) change {
	return change{
		Key: key.String(), Group: origin.Group, Kind: origin.Kind,
		Namespace: of.namespace, Name: of.name, Target: origin.Target.String(),
	}
}

// write writes the difference for people, or as JSON.
func (d *difference) write(out io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(d)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		sign    string
		changes []change
	}{{"+", d.Added}, {"~", d.Changed}, {"-", d.Removed}} {
		for _, c := range part.changes {
			fmt.Fprintf(w, "%s %s\t%s\t%s\n", part.sign, c.Key, c.kind(), c.object())
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d to add, %d to change, %d to remove, %d unchanged\n", len(d.Added), len(d.Changed), len(d.Removed), d.Unchanged)
	return err
}

func (c *change) kind() string {
	if c.Group == "" {
		return c.Kind
	}
	return c.Kind + "." + c.Group
}

func (c *change) object() string {
	switch {
	case c.Name == "":
		return "of target " + c.Target
	case c.Namespace == "":
		return c.Name
	}
	return c.Namespace + "/" + c.Name
}
