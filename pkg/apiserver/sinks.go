package apiserver

import (
	"context"
	"net/http"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/controller"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/postgres"
)

// sinks is the list of sinks: a type that is not in it is refused with a
// condition that says so. All of them connect by the egress.
func (o *Options) sinks(egress *egress) map[kollectv1alpha1.SinkType]controller.Opener {
	client := egress.client()
	openObjectStore := func(ctx context.Context, config controller.SinkConfig) (sink.SnapshotStore, error) {
		return o.openObjectStore(ctx, config, client)
	}
	openPostgres := func(ctx context.Context, config controller.SinkConfig) (sink.RelationalStore, error) {
		store, err := postgres.Open(ctx, *config.Spec.Postgres, config.Secret, postgres.Options{Dial: egress.DialContext})
		if err != nil {
			return nil, err // a nil *Store is not a nil interface
		}
		return store, nil
	}
	return map[kollectv1alpha1.SinkType]controller.Opener{
		kollectv1alpha1.SinkObjectStore: controller.SnapshotStore(openObjectStore),
		kollectv1alpha1.SinkPostgres:    controller.RelationalStore(openPostgres),
		kollectv1alpha1.SinkNATS:        controller.EventEmitter(egress.openNATS),
	}
}

func (e *egress) openNATS(ctx context.Context, config controller.SinkConfig) (sink.EventEmitter, error) {
	emitter, err := nats.Open(ctx, *config.Spec.NATS, config.Secret, nats.Options{Dial: e.DialContext})
	if err != nil {
		return nil, err // a nil *Emitter is not a nil interface
	}
	return emitter, nil
}

func (o *Options) openObjectStore(ctx context.Context, config controller.SinkConfig, client *http.Client) (sink.SnapshotStore, error) {
	store, err := objectstore.Open(ctx, *config.Spec.ObjectStore, config.Secret, objectstore.Options{
		Client:   client,
		FileRoot: o.SinkFileRoot,
		// The server's own identity is for administrators' sinks alone.
		AmbientCredentials: config.Namespace == "",
	})
	if err != nil {
		return nil, err // a nil *Store is not a nil interface
	}
	return store, nil
}
