package apiserver

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"

	"kollect.io/kollect/pkg/controller"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/opener"
)

// ownNamespaceFile says, in a Pod, which namespace it is in.
const ownNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// controller returns what fills the store and exports it.
func (c *Config) controller(o *Options, store *inventory.Store) (*controller.Controller, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this replica: %w", err)
	}
	allowed, err := o.sinkAllowed()
	if err != nil {
		return nil, err
	}
	egress := newEgress(c.Generic.ClientConfig.Host, allowed)
	return controller.New(controller.Config{
		Client:      c.Generic.ClientConfig,
		Store:       store,
		ClusterName: o.ClusterName,
		Openers:     opener.All(opener.Options{FileRoot: o.SinkFileRoot, TempSize: o.SinkTempSize.Value(), Dial: egress.DialContext, Client: egress.client()}),
		LeaderElection: controller.LeaderElection{
			Disabled:      !o.LeaderElect,
			Namespace:     o.leaseNamespace(),
			Identity:      host + "_" + string(uuid.NewUUID()),
			LeaseDuration: o.LeaseDuration, RenewDeadline: o.RenewDeadline, RetryPeriod: o.RetryPeriod,
		},
	})
}

// leaseNamespace is the server's own namespace, unless a flag says another.
func (o *Options) leaseNamespace() string {
	if o.LeaderElectNamespace != "" {
		return o.LeaderElectNamespace
	}
	if own, err := os.ReadFile(ownNamespaceFile); err == nil {
		return strings.TrimSpace(string(own))
	}
	return "kollect-system"
}
