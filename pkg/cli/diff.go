package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const diffHelp = `Shows what an export would add, change and remove at a sink's destination now: the
rows that the served API has of an inventory, compared with those that are read back
from the destination. Nothing is written anywhere: where a table, stream or topic is
not there yet, all rows are to be added.

  + KEY  KIND  NAMESPACE/NAME   would be added
  ~ KEY  KIND  NAMESPACE/NAME   would be changed
  - KEY  KIND  NAMESPACE/NAME   would be removed; all but object stores say the row's
                                target in place of the object

The sink need not be one of the inventory's: to see what a first export would bring,
name any. Rows are compared by the hash of their content; a change of what is
promoted alone, upon which all rows are written again, is not shown.

Rows of targets whose first list is not complete are left alone by an export, or
hold it back as a whole at an object store. So they are here.

You need the rights to get the inventory and its snapshot (inventory.kollect.io), the
sink, and its Secret. The exit status is 0 if there is no difference, 1 if there is
one, and 2 on an error.`

const diffExamples = `  # What would change at the sink changes of team-a:
  kollect diff -n team-a --inventory apps --sink changes

  # For a program, of a cluster inventory:
  kollect diff --cluster-inventory platform --cluster-sink lake -o json`

// diff are the flags of the command.
type diff struct {
	access
	sinkFlags
	streams                     Streams
	inventory, clusterInventory string
	output                      string
}

func newDiff(streams Streams) *cobra.Command {
	d := &diff{streams: streams}
	cmd := &cobra.Command{
		Use:     "diff --inventory NAME --sink NAME",
		Short:   "Show what an export would change",
		Long:    diffHelp,
		Example: diffExamples,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	fs := cmd.Flags()
	fs.StringVar(&d.inventory, "inventory", "", "The `name` of a KollectInventory in the namespace.")
	fs.StringVar(&d.clusterInventory, "cluster-inventory", "", "The `name` of a KollectClusterInventory, in place of --inventory.")
	d.sinkFlags.addFlags(fs)
	fs.StringVarP(&d.output, "output", "o", "text", "The `format`: text or json.")
	d.access.addFlags(fs)
	return cmd
}

func (d *diff) run(ctx context.Context) error {
	if (d.inventory == "") == (d.clusterInventory == "") {
		return errors.New("give --inventory, or --cluster-inventory for a KollectClusterInventory")
	}
	if err := d.validate(); err != nil {
		return err
	}
	if d.output != "text" && d.output != "json" {
		return fmt.Errorf("--output %q: must be text or json", d.output)
	}
	c, err := d.clients()
	if err != nil {
		return err
	}
	head, err := d.head(ctx, c)
	if err != nil {
		return err
	}
	opened, err := d.open(ctx, c)
	switch {
	case errors.Is(err, sink.ErrAbsent):
		fmt.Fprintln(d.streams.Err, err)
	case err != nil:
		return err
	default:
		defer opened.Close()
	}
	found, err := d.compare(ctx, c, head, opened.Store)
	if err != nil {
		return err
	}
	if len(found.Waiting) > 0 {
		fmt.Fprintf(d.streams.Err, "The first list of %s is not complete: its rows are left out.\n", strings.Join(found.Waiting, ", "))
	}
	if err := found.write(d.streams.Out, d.output); err != nil {
		return fmt.Errorf("write the differences: %w", err)
	}
	if !found.empty() {
		return errDifferent
	}
	return nil
}

func (d *diff) ref(c *clients) inventory.Ref {
	if d.clusterInventory != "" {
		return inventory.Ref{Name: d.clusterInventory}
	}
	return inventory.Ref{Namespace: c.namespace, Name: d.inventory}
}

// head reads what the API says of the inventory.
func (d *diff) head(ctx context.Context, c *clients) (*inventoryv1alpha1.InventoryStatus, error) {
	api, ref := c.kollect.InventoryV1alpha1(), d.ref(c)
	if ref.Namespace == "" {
		o, err := api.ClusterInventories().Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read the cluster inventory: %w", err)
		}
		return &o.Status, nil
	}
	o, err := api.Inventories(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	return &o.Status, nil
}

// compare reads what is held first, and then what there is: what changes in between
// shows as a difference, as it is one. Without a store nothing is held.
func (d *diff) compare(ctx context.Context, c *clients, head *inventoryv1alpha1.InventoryStatus, store sink.Store) (*difference, error) {
	of := &inventory.Inventory{Ref: d.ref(c), Cluster: head.Cluster}
	var mark sink.Mark
	if store != nil {
		var err error
		if mark, err = store.Mark(ctx, of); err != nil {
			return nil, fmt.Errorf("read what %s holds: %s", &d.sinkFlags, export.Message(err))
		}
	}
	compared := &comparison{held: map[inventory.Key]heldRow{}, difference: difference{
		Inventory: of.Ref.String(), Cluster: of.Cluster, Sink: d.sinkFlags.String(),
		Generation: mark.Generation, ContentHash: head.ContentHash,
		Added: []change{}, Changed: []change{}, Removed: []change{},
	}}
	waiting := map[inventory.TargetRef]bool{}
	for _, t := range head.Targets {
		if ref := (inventory.TargetRef{Namespace: t.Namespace, Name: t.Name}); !t.Synced {
			waiting[ref] = true
			compared.Waiting = append(compared.Waiting, "target "+ref.String())
		}
	}
	_, whole := store.(sink.SnapshotStore)
	compared.waits = func(t inventory.TargetRef) bool { return waiting[t] || whole && len(waiting) > 0 }
	if err := readHeld(ctx, store, of, compared.held); err != nil {
		return nil, fmt.Errorf("read the rows that %s holds: %s", &d.sinkFlags, export.Message(err))
	}
	if err := d.eachRow(ctx, c, compared.row); err != nil {
		return nil, fmt.Errorf("read the rows of the inventory: %w", err)
	}
	compared.end()
	return &compared.difference, nil
}

// rowReader is a snapshot store whose rows can be read back.
type rowReader interface {
	Rows(ctx context.Context, of *inventory.Inventory, yield func(inventory.Entry) error) error
}

func readHeld(ctx context.Context, store sink.Store, of *inventory.Inventory, into map[inventory.Key]heldRow) error {
	switch store := store.(type) {
	case nil:
		return nil
	case sink.Keeper:
		return store.Held(ctx, of, func(h inventory.Held) error {
			into[h.Key] = heldRow{hash: h.Hash, origin: h.Origin}
			return nil
		})
	case rowReader:
		return store.Rows(ctx, of, func(e inventory.Entry) error {
			into[e.Key] = heldRow{hash: e.Row.Hash(), origin: e.Row.Origin(), object: objectOf(e.Row)}
			return nil
		})
	}
	return errors.New("this type of sink can't be read back")
}

// eachRow downloads the snapshot.
func (d *diff) eachRow(ctx context.Context, c *clients, take func(inventory.Entry)) error {
	client, ok := c.kollect.InventoryV1alpha1().RESTClient().(*rest.RESTClient)
	if !ok {
		return errors.New("the client can't download")
	}
	ref := d.ref(c)
	request := client.Get().Resource("inventories").Namespace(ref.Namespace)
	if ref.Namespace == "" {
		request = client.Get().Resource("clusterinventories")
	}
	body, err := request.Name(ref.Name).SubResource("snapshot").Param("format", string(format.JSON)).
		SetHeader("Accept", format.JSON.ContentType()).Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	err = format.ReadJSON(body, format.JSON, func(e inventory.Entry) error {
		take(e)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return err
}
