package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/controller"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/opener"
	"kollect.io/kollect/pkg/sink"
)

// sinkFlags say which sink is meant.
type sinkFlags struct {
	sink, clusterSink string
	fileRoot          string

	spec kollectv1alpha1.SinkSpec // once it is open
}

func (f *sinkFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.sink, "sink", "", "The `name` of a KollectSink in the namespace.")
	fs.StringVar(&f.clusterSink, "cluster-sink", "", "The `name` of a KollectClusterSink, in place of --sink.")
	fs.StringVar(&f.fileRoot, "sink-file-root", "", "The `folder` below which sinks with a file:// URL are, as it is here: the server's --sink-file-root.")
}

func (f *sinkFlags) validate() error {
	if (f.sink == "") == (f.clusterSink == "") {
		return errors.New("give --sink, or --cluster-sink for a KollectClusterSink")
	}
	return nil
}

// String names the sink for people.
func (f *sinkFlags) String() string {
	if f.clusterSink != "" {
		return "cluster sink " + f.clusterSink
	}
	return "sink " + f.sink
}

// open reads the sink and its Secret, and opens the destination. Its error wraps
// sink.ErrAbsent if that is not there: nothing is made.
func (f *sinkFlags) open(ctx context.Context, c *clients) (controller.Sink, error) {
	config, err := f.read(ctx, c)
	if err != nil {
		return controller.Sink{}, err
	}
	f.spec = *config.Spec
	open := opener.All(opener.Options{FileRoot: f.fileRoot, MustExist: true})[config.Spec.Type]
	if open == nil {
		return controller.Sink{}, fmt.Errorf("open %s: sink type %s is not available in this version", f, config.Spec.Type)
	}
	if config.Spec.SecretRef != nil {
		namespace, err := controller.SecretNamespace(config.Namespace, config.Spec.SecretRef)
		if err != nil {
			return controller.Sink{}, fmt.Errorf("open %s: %w", f, err)
		}
		secret, err := c.core.CoreV1().Secrets(namespace).Get(ctx, config.Spec.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			return controller.Sink{}, fmt.Errorf("read the Secret of %s: %w", f, err)
		}
		config.Secret = map[string][]byte{}
		for name, value := range secret.Data {
			config.Secret[name] = value
		}
	}
	opened, err := open(ctx, config)
	if errors.Is(err, sink.ErrAbsent) {
		return controller.Sink{}, fmt.Errorf("open %s: %w", f, err)
	}
	if err != nil {
		return controller.Sink{}, fmt.Errorf("open %s: %s", f, export.Message(err))
	}
	return opened, nil
}

func (f *sinkFlags) read(ctx context.Context, c *clients) (controller.SinkConfig, error) {
	api := c.kollect.KollectV1alpha1()
	var spec kollectv1alpha1.SinkSpec
	if f.clusterSink != "" {
		o, err := api.KollectClusterSinks().Get(ctx, f.clusterSink, metav1.GetOptions{})
		if err != nil {
			return controller.SinkConfig{}, fmt.Errorf("read %s: %w", f, err)
		}
		spec = o.Spec
		return controller.SinkConfig{Spec: &spec}, nil
	}
	o, err := api.KollectSinks(c.namespace).Get(ctx, f.sink, metav1.GetOptions{})
	if err != nil {
		return controller.SinkConfig{}, fmt.Errorf("read %s in namespace %s: %w", f, c.namespace, err)
	}
	spec = o.Spec
	return controller.SinkConfig{Namespace: o.Namespace, Spec: &spec}, nil
}
