package cli

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	clientset "kollect.io/kollect/pkg/generated/clientset/versioned"
)

// access is how the cluster is reached: as kubectl does.
type access struct {
	kubeconfig, context, namespace, as string
}

func (a *access) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&a.kubeconfig, "kubeconfig", "", "The `file` that says how to reach the cluster. Default: $KUBECONFIG, ~/.kube/config, or the Pod's own service account.")
	fs.StringVar(&a.context, "context", "", "The `name` of the context in the kubeconfig to use.")
	fs.StringVarP(&a.namespace, "namespace", "n", "", "The `namespace` of a KollectSink and a KollectInventory. Default: that of the context.")
	fs.StringVar(&a.as, "as", "", "The `user` to act as in the cluster, as with kubectl.")
}

// clients are how the cluster is asked, and the namespace to ask in.
type clients struct {
	core      kubernetes.Interface
	kollect   clientset.Interface
	namespace string
}

func (a *access) clients() (*clients, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: a.context}
	overrides.Context.Namespace = a.namespace
	overrides.AuthInfo.Impersonate = a.as
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	kollect, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return &clients{core: core, kollect: kollect, namespace: namespace}, nil
}
