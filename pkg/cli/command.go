// Package cli is the command line program kollect: what people look at and remove
// at destinations. It acts with the caller's own rights alone: a sink and its
// Secret are read with the caller's kubeconfig, and the destination is reached from
// the caller's machine. It never changes anything in the cluster.
//
// Its invariant: nothing is removed that was not listed and agreed to before.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// The exit statuses are those of diff(1): a command that finds nothing, or does
// what it should, ends with 0.
const (
	exitDifferent = 1
	exitError     = 2
)

// errDifferent is not an error, but the answer of diff.
var errDifferent = errors.New("there are differences")

const help = `Looks at the destinations that inventories are exported to, and removes there what
nobody reports any more.

It reads sinks and their Secrets with your kubeconfig, and connects to destinations
from here. To read what an inventory has now, use kubectl:

  kubectl get inventories -A`

// Run runs the command and returns the exit status of the process: 0, 1 if diff
// found differences, or 2 on an error, which it writes.
func Run(ctx context.Context, args []string, streams Streams) int {
	cmd := NewCommand(streams)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDifferent):
		return exitDifferent
	}
	fmt.Fprintln(streams.Err, "error:", err)
	return exitError
}

// NewCommand returns the program's commands.
func NewCommand(streams Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "kollect",
		Short:         "Compare and remove what inventories have exported",
		Long:          help,
		Version:       version.Get().GitVersion,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetIn(streams.In)
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.Err)
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newForget(streams), newPrune(streams), newDiff(streams))
	return cmd
}
