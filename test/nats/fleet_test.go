package nats_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/test/fleet"
)

func TestClustersShareAStream(t *testing.T) {
	t.Parallel() // it waits, most of the time
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), jetstream.StreamConfig{})
	fleet.Test(t, fleet.Destination{Read: d.Read, Open: func(t *testing.T) (sink.Store, func() export.Destination) {
		emitter := d.Open(t)
		return emitter, func() export.Destination { return export.FromEventEmitter(emitter) }
	}})
}
