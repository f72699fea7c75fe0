package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const pruneHelp = `Removes the old generations that the retention of a sink of type objectStore does not
keep, as the server does after exports: use it once a retention was set or changed
for what nobody exports to any more, or with --dry-run to see what one would do.

It lists each generation with what becomes of it and why, and asks before anything
is removed. What is current, what the cluster's list in current/ has, and what was
current less than an hour ago stay whatever the retention says, so that it may be run
while clusters export and others read. If it is cut short, run it again.`

const pruneExamples = `  # What becomes of each generation of an inventory, and why:
  kollect prune --cluster prod --sink lake -n team-a --inventory team-a/apps --dry-run

  # Remove what is not kept of a whole cluster, without a question:
  kollect prune --cluster prod --cluster-sink lake --yes`

// prune are the flags of the command: those of forget that say of what.
type prune struct {
	forget
}

func newPrune(streams Streams) *cobra.Command {
	p := &prune{forget{streams: streams}}
	cmd := &cobra.Command{
		Use:     "prune --cluster NAME --sink NAME",
		Short:   "Remove generations that a retention does not keep",
		Long:    pruneHelp,
		Example: pruneExamples,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	fs := cmd.Flags()
	fs.StringVar(&p.cluster, "cluster", "", "The `name` of the cluster in rows and exports: the --cluster-name of its server, or spec.cluster of its inventories.")
	fs.StringSliceVar(&p.inventories, "inventory", nil, "Only this inventory: `namespace/name`, or the name of a cluster inventory. May be given more than once. Default: all of the cluster.")
	p.sinkFlags.addFlags(fs)
	fs.BoolVar(&p.dryRun, "dry-run", false, "Only list what would become of each generation.")
	fs.BoolVar(&p.yes, "yes", false, "Do not ask.")
	p.access.addFlags(fs)
	return cmd
}

func (p *prune) run(ctx context.Context) error {
	if p.cluster == "" {
		return errors.New("give --cluster, the name of the cluster in what was exported")
	}
	if err := p.validate(); err != nil {
		return err
	}
	c, err := p.clients()
	if err != nil {
		return err
	}
	opened, err := p.open(ctx, c)
	if err != nil {
		return err
	}
	defer opened.Close()
	return p.prune(ctx, opened.Store)
}

// plan is what becomes of an inventory's generations.
type plan struct {
	of      *inventory.Inventory
	planned []sink.Planned
}

func (p *plan) removable() (generations []int64) {
	for _, g := range p.planned {
		if !g.Keep {
			generations = append(generations, g.Generation)
		}
	}
	return generations
}

// prune lists what becomes of what the destination holds, has it agreed to, and
// removes what is to go.
func (p *prune) prune(ctx context.Context, store sink.Store) error {
	pruner, ok := store.(sink.Pruner)
	if !ok {
		return fmt.Errorf("%s has no generations to remove: sinks of type objectStore do", &p.sinkFlags)
	}
	plans, err := p.plans(ctx, store, pruner)
	if err != nil {
		return err
	}
	if err := printPlans(p.streams.Out, plans, time.Now()); err != nil {
		return err
	}
	number := 0
	for _, each := range plans {
		number += len(each.removable())
	}
	if number == 0 {
		fmt.Fprintf(p.streams.Err, "Nothing of cluster %s at %s is to be removed.\n", p.cluster, &p.sinkFlags)
		return nil
	}
	if p.dryRun {
		fmt.Fprintf(p.streams.Err, "%d generations would be removed.\n", number)
		return nil
	}
	if err := p.confirm(fmt.Sprintf("%d generations of %d inventories", number, len(plans))); err != nil {
		return err
	}
	for _, each := range plans {
		if err := pruner.Prune(ctx, each.of, each.removable()); err != nil {
			return fmt.Errorf("remove generations of %s: %s; what is left is listed when you run this again", each.of.Ref, export.Message(err))
		}
	}
	fmt.Fprintf(p.streams.Err, "Removed %d generations.\n", number)
	return nil
}

func (p *prune) plans(ctx context.Context, store sink.Store, pruner sink.Pruner) ([]plan, error) {
	found, err := p.find(ctx, store)
	if err != nil {
		return nil, err
	}
	plans := make([]plan, len(found))
	for i, h := range found {
		planned, err := pruner.Plan(ctx, h.of)
		if err != nil {
			return nil, fmt.Errorf("list the generations of %s: %s", h.of.Ref, export.Message(err))
		}
		plans[i] = plan{h.of, planned}
	}
	return plans, nil
}

func printPlans(out io.Writer, plans []plan, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "INVENTORY\tGENERATION\tWRITTEN\tVERDICT\tREASON")
	for _, p := range plans {
		for _, g := range p.planned {
			verdict := "remove"
			if g.Keep {
				verdict = "keep"
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", p.of.Ref, g.Generation, ago(now, g.Time), verdict, g.Reason)
		}
	}
	return w.Flush()
}
