package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const forgetHelp = `Removes what a cluster has exported to a sink's destination: the rows of its
inventories and what the destination knows of them. Other clusters that share the
destination are not touched.

It is for a cluster that is gone, or for an inventory that was deleted with
deletionPolicy: Retain. What is still reported is refused: the cluster would export
it again. Any cluster's kubeconfig does that has the sink, and you need the right to
get the sink and its Secret.

It lists what goes, and asks before anything does. If it is cut short, run it again.

  PostgreSQL     rows are deleted, or marked as deleted where deletion is soft; a
                 line of the state table stays that names the inventory
  NATS, Kafka    each row gets the event that it was deleted; a checkpoint stays
  object store   all generations are removed; a small _latest.json stays

What stays keeps a server that was paused from bringing rows back.`

const forgetExamples = `  # What is there of cluster old-prod, and would go:
  kollect forget --cluster old-prod --sink portal -n team-a --dry-run

  # Remove it, without a question:
  kollect forget --cluster old-prod --sink portal -n team-a --yes

  # Remove one inventory of a cluster that goes on, at a cluster sink:
  kollect forget --cluster prod --cluster-sink lake --inventory team-a/apps`

// forget are the flags of the command.
type forget struct {
	access
	sinkFlags
	streams     Streams
	cluster     string
	inventories []string
	dryRun      bool
	yes, force  bool
	staleAfter  time.Duration
}

func newForget(streams Streams) *cobra.Command {
	f := &forget{streams: streams}
	cmd := &cobra.Command{
		Use:     "forget --cluster NAME --sink NAME",
		Short:   "Remove what a cluster has exported",
		Long:    forgetHelp,
		Example: forgetExamples,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.cluster, "cluster", "", "The `name` of the cluster in rows and exports: the --cluster-name of its server, or spec.cluster of its inventories.")
	fs.StringSliceVar(&f.inventories, "inventory", nil, "Only this inventory: `namespace/name`, or the name of a cluster inventory. May be given more than once. Default: all of the cluster.")
	f.sinkFlags.addFlags(fs)
	fs.BoolVar(&f.dryRun, "dry-run", false, "Only list what would go.")
	fs.BoolVar(&f.yes, "yes", false, "Do not ask.")
	fs.BoolVar(&f.force, "force", false, "Also remove what was confirmed less than --stale-after ago, or nobody knows when.")
	fs.DurationVar(&f.staleAfter, "stale-after", f.staleAfter, "How long ago the content must have been written or confirmed last: several times the exportMinInterval of the inventories. Default: the staleAfter of the sink, three times its confirmInterval, or "+sink.StaleAfter.String()+". A sink of type git without confirmInterval needs --force.")
	f.access.addFlags(fs)
	return cmd
}

// held is what a destination holds of an inventory.
type held struct {
	of   *inventory.Inventory
	mark sink.Mark
}

func (f *forget) run(ctx context.Context) error {
	if f.cluster == "" {
		return errors.New("give --cluster, the name of the cluster in what was exported")
	}
	if err := f.validate(); err != nil {
		return err
	}
	c, err := f.clients()
	if err != nil {
		return err
	}
	opened, err := f.open(ctx, c)
	if errors.Is(err, sink.ErrAbsent) {
		fmt.Fprintf(f.streams.Err, "Nothing of cluster %s is held: %v\n", f.cluster, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	f.staleAfter = f.staleness()
	return f.forget(ctx, opened.Store)
}

// never is older than anything.
const never = time.Duration(math.MaxInt64)

// staleness is what the flag says, or the sink, or the default. A Git repository in
// which unchanged content is not confirmed tells nobody who still reports.
func (f *forget) staleness() time.Duration {
	if f.staleAfter != 0 {
		return f.staleAfter
	}
	if p := f.spec.Postgres; p != nil && p.StaleAfter != nil {
		return p.StaleAfter.Duration
	}
	if g := f.spec.Git; g != nil && g.ConfirmInterval == nil {
		return never
	} else if g != nil {
		return max(3*g.ConfirmInterval.Duration, sink.StaleAfter)
	}
	return sink.StaleAfter
}

// forget lists what the destination holds, has it agreed to, and removes it.
func (f *forget) forget(ctx context.Context, store sink.Store) error {
	found, err := f.find(ctx, store)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintf(f.streams.Err, "Nothing of cluster %s is held by %s.\n", f.cluster, &f.sinkFlags)
		return nil
	}
	now := time.Now()
	if err := printHeld(f.streams.Out, found, now); err != nil {
		return err
	}
	refused := f.refuseFresh(found, now)
	if f.dryRun {
		if refused != nil {
			fmt.Fprintln(f.streams.Err, "This would be refused:", refused)
		}
		return nil
	}
	if refused != nil {
		return refused
	}
	rows := int64(0)
	for _, h := range found {
		rows += h.mark.Rows
	}
	if err := f.confirm(fmt.Sprintf("%d rows of %d inventories", rows, len(found))); err != nil {
		return err
	}
	return f.forgetAll(ctx, store, found)
}

// find returns what the destination holds that the flags select, by name.
func (f *forget) find(ctx context.Context, store sink.Store) ([]held, error) {
	refs, err := store.Inventories(ctx, f.cluster)
	if err != nil {
		return nil, fmt.Errorf("list what %s holds: %s", &f.sinkFlags, export.Message(err))
	}
	slices.SortFunc(refs, func(a, b inventory.Ref) int { return strings.Compare(a.String(), b.String()) })
	if err := f.known(refs); err != nil {
		return nil, err
	}
	var found []held
	for _, ref := range refs {
		if len(f.inventories) > 0 && !slices.Contains(f.inventories, ref.String()) {
			continue
		}
		of := &inventory.Inventory{Ref: ref, Cluster: f.cluster}
		mark, err := store.Mark(ctx, of)
		if err != nil {
			return nil, fmt.Errorf("read what %s holds of %s: %s", &f.sinkFlags, ref, export.Message(err))
		}
		found = append(found, held{of, mark})
	}
	return found, nil
}

// known returns an error if the flags name an inventory that is not held: whoever
// mistypes one would take it for removed.
func (f *forget) known(refs []inventory.Ref) error {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	for _, name := range f.inventories {
		if len(names) > 0 && !slices.Contains(names, name) {
			return fmt.Errorf("--inventory %s: %s holds none of that name of cluster %s, but %s", name, &f.sinkFlags, f.cluster, strings.Join(names, ", "))
		}
	}
	return nil
}

func printHeld(out io.Writer, found []held, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "INVENTORY\tROWS\tGENERATION\tLAST CONFIRMED")
	for _, h := range found {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", h.of.Ref, h.mark.Rows, h.mark.Generation, ago(now, h.mark.Time))
	}
	return w.Flush()
}

func ago(now, then time.Time) string {
	if then.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%s ago", now.Sub(then).Round(time.Second))
}

// refuseFresh returns an error if something is still reported.
func (f *forget) refuseFresh(found []held, now time.Time) error {
	if f.force {
		return nil
	}
	var fresh, unknown []string
	for _, h := range found {
		switch {
		case h.mark.Generation > 0 && h.mark.Time.IsZero() || f.staleAfter == never:
			unknown = append(unknown, h.of.Ref.String())
		case now.Sub(h.mark.Time) < f.staleAfter:
			fresh = append(fresh, h.of.Ref.String())
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("nothing there says whether cluster %s still reports %s, and what is removed would be exported again: stop its server, or take the sink out of the inventory, and use --force",
			f.cluster, strings.Join(unknown, ", "))
	}
	if len(fresh) == 0 {
		return nil
	}
	return fmt.Errorf("cluster %s has confirmed %s less than %s ago, and would export again what is removed: stop its server, or take the sink out of the inventory, and try later; or use --force",
		f.cluster, strings.Join(fresh, ", "), f.staleAfter)
}

// confirm asks, if somebody is there to answer.
func (f *forget) confirm(what string) error {
	if f.yes {
		return nil
	}
	if file, ok := f.streams.In.(*os.File); ok {
		if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			return errors.New("nobody is there to agree: use --yes, or --dry-run to see what would go")
		}
	}
	fmt.Fprintf(f.streams.Err, "%s go for good. Type the cluster's name to agree: ", what)
	line, err := bufio.NewReader(f.streams.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(line) != f.cluster {
		return errors.New("nothing was removed: the answer is not the cluster's name")
	}
	return nil
}

// forgetAll forgets what was found, and goes on after errors.
func (f *forget) forgetAll(ctx context.Context, store sink.Store, found []held) error {
	var errs []error
	for _, h := range found {
		err := store.Forget(ctx, h.of, h.mark.Generation+1, time.Now())
		switch {
		case err == nil:
			fmt.Fprintf(f.streams.Err, "Forgot %s: %d rows.\n", h.of.Ref, h.mark.Rows)
		case errors.Is(err, sink.ErrFenced):
			errs = append(errs, fmt.Errorf("%s was exported again meanwhile: its cluster still reports", h.of.Ref))
		default:
			errs = append(errs, fmt.Errorf("forget %s: %s", h.of.Ref, export.Message(err)))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w; what is left is listed when you run this again", errors.Join(errs...))
	}
	return nil
}
