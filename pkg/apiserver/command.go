package apiserver

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/apiserver/epoch"
	"kollect.io/kollect/pkg/inventory"
)

const help = `Watches the resources that profiles and targets (kollect.io) select, keeps a few
attributes of each object as a row, and serves the rows of every inventory, read
only, as an aggregated API (inventory.kollect.io). The same snapshots are exported
to sinks.

It needs an APIService for v1alpha1.inventory.kollect.io that leads to it, the
custom resource definitions of kollect.io, and the rights to read what is
collected and to ask for token and access reviews.

Once it runs:
  kubectl get inventories -A            the heads: rows, content hash, sinks
  kubectl get inventoryrows -n team-a   the rows of the inventories of a namespace
  kubectl explain inventoryrows.source  what the fields mean`

// NewCommand returns the command that runs the server until the context ends.
func NewCommand(ctx context.Context) *cobra.Command {
	o := NewOptions()
	cmd := &cobra.Command{
		Use:   Name,
		Short: "Serve and export inventories of Kubernetes resources",
		Long:  help,
		Example: `  # In a cluster, with a certificate that cert-manager or the manifests provide:
  kollect-apiserver --tls-cert-file=tls.crt --tls-private-key-file=tls.key --cluster-name=prod

  # Beside a cluster, with a self-signed certificate in a folder:
  kollect-apiserver --kubeconfig=$HOME/.kube/config --secure-port=8443 --cert-dir=_run/certs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(o.Logs, nil); err != nil {
				return err
			}
			if err := o.Complete(); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.SetContext(ctx)
	sets := o.Flags()
	for _, fs := range sets.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	width, _, err := term.TerminalSize(cmd.OutOrStdout())
	if err != nil {
		width = 0 // not a terminal: the lines are not wrapped
	}
	cliflag.SetUsageAndHelpFunc(cmd, sets, width)
	return cmd
}

// run assembles the server and what runs beside it, and runs them until the
// context ends.
func run(ctx context.Context, o *Options) error {
	config, err := o.Config()
	if err != nil {
		return err
	}
	if err := config.keepCertificate(ctx, o); err != nil {
		return err
	}
	client, err := coordinationclient.NewForConfig(config.Generic.ClientConfig)
	if err != nil {
		return fmt.Errorf("make client of Leases: %w", err)
	}
	own, err := epoch.Claim(ctx, client.Leases(o.leaseNamespace()))
	if err != nil {
		return err
	}
	store := inventory.NewStore(inventory.Options{Epoch: own.Own(), NewestEpoch: own.Newest})
	server, err := config.Complete().New(store)
	if err != nil {
		return err
	}
	controller, err := config.controller(o, store)
	if err != nil {
		return err
	}
	if err := legacyregistry.CustomRegister(controller.Metrics()); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	klog.FromContext(ctx).Info("Serving", "cluster", o.ClusterName)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return controller.Run(ctx) })
	group.Go(func() error { return server.Run(ctx) })
	return group.Wait()
}
