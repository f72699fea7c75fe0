package apiserver

import (
	"errors"
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/tools/leaderelection"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/version/verflag"

	"kollect.io/kollect/pkg/sink/git/object"
)

// Options are what the flags say.
type Options struct {
	// Recommended are the options of the generic server. Its Etcd and Admission
	// are nil: nothing is stored and nothing is written. CoreAPI has the
	// kubeconfig.
	Recommended *genericoptions.RecommendedOptions
	// Logs says what is logged, and how.
	Logs *logs.Options
	// ClusterName is the cluster in rows and exports, where the inventory does not
	// say another.
	ClusterName string
	// SinkFileRoot is the folder that file:// sinks write below; empty turns them
	// off.
	SinkFileRoot string
	// SinkAllowedCIDRs are the networks that sinks may connect to. Loopback and
	// other special addresses, and the API server's, take a network of their own.
	SinkAllowedCIDRs []string
	// SinkTempSize is how many bytes of temporary files sinks use together.
	SinkTempSize resource.QuantityValue
	// ListCacheSize is how many bytes of encoded rows are kept for lists; 0 keeps
	// none.
	ListCacheSize resource.QuantityValue
	// CertSecret is the Secret, as namespace/name, in which the server keeps a
	// serving certificate of its own; empty means the files of SecureServing.
	CertSecret string
	// APIService is the name of the APIService that is to trust that certificate.
	APIService string
	// LeaderElect makes replicas agree on one that exports. All of them serve.
	LeaderElect bool
	// LeaderElectNamespace is where the Lease is; empty means the server's own.
	LeaderElectNamespace string
	// LeaseDuration is how long the others wait for a leader that renews the Lease
	// no more, RenewDeadline how long it tries to renew it before it ceases to lead,
	// and RetryPeriod the time between two tries of anybody.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	recommended := genericoptions.NewRecommendedOptions("", nil)
	recommended.Etcd = nil
	recommended.Admission = nil
	recommended.EgressSelector = nil
	return &Options{
		Recommended:      recommended,
		Logs:             logs.NewOptions(),
		ClusterName:      "default",
		SinkAllowedCIDRs: []string{"0.0.0.0/0", "::/0"},
		SinkTempSize:     resource.QuantityValue{Quantity: *resource.NewQuantity(object.DefaultTempSize, resource.BinarySI)},
		ListCacheSize:    resource.QuantityValue{Quantity: resource.MustParse("128Mi")},
		APIService:       "v1alpha1.inventory.kollect.io",
		LeaderElect:      true,
		LeaseDuration:    15 * time.Second,
		RenewDeadline:    10 * time.Second,
		RetryPeriod:      2 * time.Second,
	}
}

// Flags returns the flags, in the groups in which the help shows them.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("kollect")
	o.Recommended.CoreAPI.AddFlags(fs)
	fs.Lookup("kubeconfig").Usage = "The `file` that says how to reach the cluster that is inventoried. Empty: the cluster in which the server runs."
	fs.StringVar(&o.ClusterName, "cluster-name", o.ClusterName, "The `name` of the cluster in rows and exports, unless an inventory says another. Two clusters that export to one place need two names.")
	fs.StringVar(&o.SinkFileRoot, "sink-file-root", o.SinkFileRoot, "The `folder` below which sinks with a file:// URL write. Empty: such sinks are refused.")
	fs.StringSliceVar(&o.SinkAllowedCIDRs, "sink-allowed-cidrs", o.SinkAllowedCIDRs, "The `networks` that sinks may connect to, judged by the resolved address. Loopback, link-local, multicast and metadata addresses are admitted only by a network within those ranges, such as 127.0.0.0/8, and the API server's own address only by itself, such as 10.96.0.1/32.")
	fs.Var(&o.SinkTempSize, "sink-temp-size", "How many bytes of temporary files sinks of type git use together, in $TMPDIR or /tmp, for what they send and receive; one push or fetch uses half of that at most.")
	fs.Var(&o.ListCacheSize, "list-cache-size", "How many bytes of rows are kept as they were encoded, for lists in JSON of all rows of one or more inventories that are asked for again. 0: none.")
	fs.StringVar(&o.CertSecret, "cert-secret", o.CertSecret, "The Secret, as `namespace/name`, in which the server makes, rotates and shares between replicas a serving certificate for the Service kollect-apiserver of that namespace. Empty: --tls-cert-file, or a self-signed certificate in --cert-dir.")
	fs.StringVar(&o.APIService, "apiservice", o.APIService, "The `name` of the APIService whose caBundle follows that certificate.")
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Elect, by a Lease, the one replica that exports. Every replica collects and serves.")
	fs.StringVar(&o.LeaderElectNamespace, "leader-elect-namespace", o.LeaderElectNamespace, "The `namespace` of that Lease. Empty: the server's own.")
	fs.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", o.LeaseDuration, "The `duration`, in whole seconds, after which another replica takes over from a leader that renews the Lease no more.")
	fs.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", o.RenewDeadline, "The `duration` for which a leader tries to renew the Lease before it ceases to export. It must be less than --leader-elect-lease-duration.")
	fs.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", o.RetryPeriod, "The `duration` between two tries to get or renew the Lease. It 1.2 times it must be less than --leader-elect-renew-deadline.")

	o.Recommended.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.Recommended.Authentication.AddFlags(sets.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sets.FlagSet("authorization"))
	for _, name := range []string{"authentication", "authorization"} {
		sets.FlagSet(name).Lookup(name + "-kubeconfig").Usage += " Empty: that of --kubeconfig."
	}
	o.Recommended.Audit.AddFlags(sets.FlagSet("audit"))
	o.Recommended.Features.AddFlags(sets.FlagSet("features"))
	o.Recommended.Traces.AddFlags(sets.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	verflag.AddFlags(sets.FlagSet("global"))
	return sets
}

// Complete fills in what follows from other options.
func (o *Options) Complete() error {
	kubeconfig := o.Recommended.CoreAPI.CoreAPIKubeconfigPath
	if auth := o.Recommended.Authentication; auth.RemoteKubeConfigFile == "" {
		auth.RemoteKubeConfigFile = kubeconfig
	}
	if auth := o.Recommended.Authorization; auth.RemoteKubeConfigFile == "" {
		auth.RemoteKubeConfigFile = kubeconfig
	}
	if o.CertSecret != "" {
		return nil
	}
	if err := o.Recommended.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return fmt.Errorf("create self-signed certificate: %w", err)
	}
	return nil
}

// Validate returns everything that is wrong with the options.
func (o *Options) Validate() error {
	errs := o.Recommended.Validate()
	for _, msg := range validation.IsDNS1123Subdomain(o.ClusterName) {
		errs = append(errs, fmt.Errorf("--cluster-name %q: %s", o.ClusterName, msg))
	}
	if _, err := o.sinkAllowed(); err != nil {
		errs = append(errs, err)
	}
	if o.SinkTempSize.Sign() <= 0 {
		errs = append(errs, fmt.Errorf("--sink-temp-size %s: must be more than 0", o.SinkTempSize.String()))
	}
	if o.ListCacheSize.Sign() < 0 {
		errs = append(errs, fmt.Errorf("--list-cache-size %s: must be 0 or more", o.ListCacheSize.String()))
	}
	if o.CertSecret != "" {
		if _, err := o.certSecret(); err != nil {
			errs = append(errs, err)
		}
		if files := o.Recommended.SecureServing.ServerCert.CertKey; files.CertFile != "" || files.KeyFile != "" {
			errs = append(errs, errors.New("--cert-secret and --tls-cert-file: give one of them, the certificate is the Secret's or the file's"))
		}
	}
	if o.LeaderElectNamespace != "" {
		for _, msg := range validation.IsDNS1123Label(o.LeaderElectNamespace) {
			errs = append(errs, fmt.Errorf("--leader-elect-namespace %q: %s", o.LeaderElectNamespace, msg))
		}
	}
	if err := o.validateElection(); err != nil {
		errs = append(errs, err)
	}
	if err := logsapi.Validate(o.Logs, nil, nil).ToAggregate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// validateElection says which of the times of the election do not go together.
func (o *Options) validateElection() error {
	switch {
	case o.LeaseDuration < time.Second || o.LeaseDuration%time.Second != 0:
		return fmt.Errorf("--leader-elect-lease-duration %s: must be whole seconds, as the Lease has them", o.LeaseDuration)
	case o.RenewDeadline >= o.LeaseDuration:
		return fmt.Errorf("--leader-elect-renew-deadline %s: must be less than --leader-elect-lease-duration, %s: two replicas would export", o.RenewDeadline, o.LeaseDuration)
	case o.RetryPeriod <= 0 || float64(o.RetryPeriod)*leaderelection.JitterFactor >= float64(o.RenewDeadline):
		return fmt.Errorf("--leader-elect-retry-period %s: must be above 0, and %g times it less than --leader-elect-renew-deadline, %s", o.RetryPeriod, leaderelection.JitterFactor, o.RenewDeadline)
	}
	return nil
}
