package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

// destination is where inventories of all namespaces go.
type destination interface {
	// name is that of the sink.
	name() string
	// sink returns the sink's manifests for a namespace.
	sink(namespace string) string
	// read returns what is there of an inventory. What can't mend itself is a
	// brokenError.
	read(ctx context.Context, namespace, inventory string) (content, error)
	end() error
}

// crasher is a destination whose server can crash.
type crasher interface {
	destination
	// slow says that this is for long runs alone: the server is away for long.
	slow() bool
	kill() error
	// up starts it again, with what it had.
	up(ctx context.Context) error
}

// brokenError says what a destination must never show.
type brokenError struct{ problem string }

func (e brokenError) Error() string { return e.problem }

func brokenf(format string, args ...any) error { return brokenError{fmt.Sprintf(format, args...)} }

// content is what somebody has of an inventory.
type content struct {
	Generation int64
	Hash       string
	Rows       map[string]row // by key
	Events     int            // of rows, so far
	Confirmed  time.Time
}

// row is what all destinations have of a row.
type row struct {
	Target, Kind, Namespace, Name, UID string
	Labels                             map[string]string
	Attributes                         map[string]any
}

// document is a row as an InventoryRow has it, and a line of NDJSON.
type document struct {
	Key    string
	Target struct{ Name string }
	Source struct{ Kind, Namespace, Name, UID string }
	Labels map[string]string

	Attributes map[string]any
}

func (d document) row() row {
	return row{d.Target.Name, d.Source.Kind, d.Source.Namespace, d.Source.Name, d.Source.UID, d.Labels, d.Attributes}
}

// differences tells in a few words where two sets of rows differ.
func differences(want, got map[string]row) error {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if _, there := got[key]; !there {
			lines = append(lines, fmt.Sprintf("- %s %v", key, want[key]))
		} else if w, g := fmt.Sprint(want[key]), fmt.Sprint(got[key]); w != g {
			lines = append(lines, fmt.Sprintf("- %s %s", key, w), fmt.Sprintf("+ %s %s", key, g))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[key]; !there {
			lines = append(lines, fmt.Sprintf("+ %s %v", key, got[key]))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	const most = 6
	if n := len(lines); n > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", n-most))
	}
	return fmt.Errorf("of %d rows it has %d:\n  %s", len(want), len(got), strings.Join(lines, "\n  "))
}

// check returns an error unless all replicas serve what there is, and all
// destinations have it, and who leads says so.
func (s *scene) check(ctx context.Context) error {
	var errs []error
	for _, inventory := range s.inventories {
		var served content
		var sinks []inventoryv1alpha1.SinkState // as the leader has them; others repeat a status that may be of before
		for _, r := range s.replicas {
			if r == s.paused {
				continue
			}
			c, states, err := s.served(ctx, r, inventory)
			if err != nil {
				return fmt.Errorf("%s serves %s: %w", r.name, inventory, err)
			}
			if served = c; r.leads() {
				sinks = states
			}
		}
		for _, d := range s.destinations {
			i := slices.IndexFunc(sinks, func(state inventoryv1alpha1.SinkState) bool { return state.Name == d.name() })
			if i < 0 {
				return fmt.Errorf("nobody leads who knows the sink %s of %s", d.name(), inventory)
			}
			if err := s.compare(ctx, d, inventory, served, sinks[i]); err != nil {
				errs = append(errs, fmt.Errorf("%s has of %s: %w", d.name(), inventory, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (s *scene) compare(ctx context.Context, d destination, inventory string, served content, told inventoryv1alpha1.SinkState) error {
	got, err := d.read(ctx, s.ns, inventory)
	if err != nil {
		return err
	}
	if err := differences(served.Rows, got.Rows); err != nil {
		return err
	}
	if got.Hash != served.Hash || told.ContentHash != got.Hash || told.Generation != got.Generation || told.Rows != int64(len(got.Rows)) || told.LastError != "" {
		return fmt.Errorf("generation %d of %s; the API serves %s, and says that the sink has generation %d of %s with %d rows (error: %q)",
			got.Generation, got.Hash, served.Hash, told.Generation, told.ContentHash, told.Rows, told.LastError)
	}
	return nil
}

// served returns what a replica serves of an inventory, which is what there is.
func (s *scene) served(ctx context.Context, r *replica, inventory string) (content, []inventoryv1alpha1.SinkState, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := r.client.InventoryV1alpha1()
	list, err := client.InventoryRows(s.ns).List(ctx, metav1.ListOptions{FieldSelector: "inventory=" + inventory})
	if err != nil {
		return content{}, nil, err
	}
	head, err := client.Inventories(s.ns).Get(ctx, inventory, metav1.GetOptions{})
	if err != nil {
		return content{}, nil, err
	}
	c := content{Hash: head.Status.ContentHash, Rows: map[string]row{}}
	for i := range list.Items {
		text, err := json.Marshal(&list.Items[i])
		if err != nil {
			return content{}, nil, err
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			return content{}, nil, err
		}
		d.Labels = list.Items[i].Labels
		c.Rows[strings.TrimPrefix(list.Items[i].Name, inventory+".")] = d.row()
	}
	return c, head.Status.Sinks, s.wantSource(ctx, inventory, c)
}

// wantSource returns an error unless the rows are those of the objects.
func (s *scene) wantSource(ctx context.Context, inventory string, c content) error {
	list, err := s.core.CoreV1().ConfigMaps(s.ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + inventory})
	if err != nil {
		return err
	}
	values := map[string]any{}
	for _, object := range list.Items {
		values[object.Name] = object.Data["value"]
	}
	if len(c.Rows) != len(values) {
		return fmt.Errorf("%d rows of %d objects", len(c.Rows), len(values))
	}
	for _, row := range c.Rows {
		if value := values[row.Name]; value != row.Attributes["value"] {
			return fmt.Errorf("%v as the value of %s, which is %v", row.Attributes["value"], row.Name, value)
		}
	}
	return nil
}

// contents returns what all destinations have, by their names and the inventory's.
func (s *scene) contents() map[string]content {
	s.Helper()
	all := map[string]content{}
	for _, d := range s.destinations {
		for _, inventory := range s.inventories {
			c, err := d.read(s.Context(), s.ns, inventory)
			s.must(err)
			all[d.name()+" of "+inventory] = c
		}
	}
	return all
}
