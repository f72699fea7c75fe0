// Package opener is the list of sinks: it opens the destination that a sink's spec
// describes, for the server, which exports there, and for the command line, which
// looks there. It decides nothing: where to connect, and whose credentials to use,
// is said by who asks.
package opener

import (
	"cmp"
	"context"
	"net"
	"net/http"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/controller"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git"
	"kollect.io/kollect/pkg/sink/git/object"
	httpsink "kollect.io/kollect/pkg/sink/http"
	"kollect.io/kollect/pkg/sink/kafka"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/postgres"
)

// Options are how sinks of all types are opened.
type Options struct {
	// FileRoot is the folder below which file:// sinks are; empty turns them off.
	FileRoot string
	// Dial connects sinks; nil: a net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Client makes the requests to object stores; nil: one of their own.
	Client *http.Client
	// MustExist has sinks return sink.ErrAbsent where otherwise they would make the
	// table, stream or topic that is not there.
	MustExist bool
	// TempSize bounds the bytes of temporary files that git sinks use together; 0:
	// object.DefaultTempSize.
	TempSize int64

	space *object.Space // of all git sinks
}

// All returns the openers by type. A type that is not among them is refused, with a
// condition that says so.
func All(o Options) map[kollectv1alpha1.SinkType]controller.Opener {
	o.space = object.NewSpace(cmp.Or(o.TempSize, object.DefaultTempSize))
	return map[kollectv1alpha1.SinkType]controller.Opener{
		kollectv1alpha1.SinkGit:         controller.SnapshotStore(o.git),
		kollectv1alpha1.SinkObjectStore: controller.SnapshotStore(o.objectStore),
		kollectv1alpha1.SinkHTTP:        controller.SnapshotStore(o.http),
		kollectv1alpha1.SinkPostgres:    controller.RelationalStore(o.postgres),
		kollectv1alpha1.SinkNATS:        controller.EventEmitter(o.nats),
		kollectv1alpha1.SinkKafka:       controller.EventEmitter(o.kafka),
	}
}

func (o Options) git(_ context.Context, config controller.SinkConfig) (sink.SnapshotStore, error) {
	store, err := git.Open(*config.Spec.Git, config.Secret, git.Options{Dial: o.Dial, Space: o.space})
	if err != nil {
		return nil, err // a nil *Store is not a nil interface
	}
	return store, nil
}

func (o Options) objectStore(ctx context.Context, config controller.SinkConfig) (sink.SnapshotStore, error) {
	store, err := objectstore.Open(ctx, *config.Spec.ObjectStore, config.Secret, objectstore.Options{
		Client:   o.Client,
		FileRoot: o.FileRoot,
		// The process's own identity is for administrators' sinks alone.
		AmbientCredentials: config.Namespace == "",
	})
	if err != nil {
		return nil, err // a nil *Store is not a nil interface
	}
	return store, nil
}

func (o Options) http(_ context.Context, config controller.SinkConfig) (sink.SnapshotStore, error) {
	store, err := httpsink.Open(*config.Spec.HTTP, config.Secret, httpsink.Options{Dial: o.Dial})
	if err != nil {
		return nil, err // a nil *Store is not a nil interface
	}
	return store, nil
}

func (o Options) postgres(ctx context.Context, config controller.SinkConfig) (sink.RelationalStore, error) {
	store, err := postgres.Open(ctx, *config.Spec.Postgres, config.Secret, postgres.Options{Dial: o.Dial, MustExist: o.MustExist})
	if err != nil {
		return nil, err // a nil *Store is not a nil interface
	}
	return store, nil
}

func (o Options) nats(ctx context.Context, config controller.SinkConfig) (sink.EventEmitter, error) {
	emitter, err := nats.Open(ctx, *config.Spec.NATS, config.Secret, nats.Options{Dial: o.Dial, MustExist: o.MustExist})
	if err != nil {
		return nil, err // a nil *Emitter is not a nil interface
	}
	return emitter, nil
}

func (o Options) kafka(ctx context.Context, config controller.SinkConfig) (sink.EventEmitter, error) {
	emitter, err := kafka.Open(ctx, *config.Spec.Kafka, config.Secret, kafka.Options{Dial: o.Dial, MustExist: o.MustExist})
	if err != nil {
		return nil, err // a nil *Emitter is not a nil interface
	}
	return emitter, nil
}
