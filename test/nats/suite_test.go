package nats_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/sink/sinktest"
)

// history is a stream as an operator makes it who wants every change kept.
func history(replicas int, atomic bool) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamName, Subjects: []string{"kollect.v1.>"}, Storage: jetstream.MemoryStorage, Replicas: replicas,
		AllowAtomicPublish: atomic,
	}
}

// withoutFaults is a destination that does not fail.
type withoutFaults struct{ sinktest.Events }

func TestOneServer(t *testing.T) {
	t.Parallel() // it waits, most of the time
	address := start(t, options(t.TempDir())).ClientURL()
	sinktest.TestEvents(t, func(t *testing.T) sinktest.Events { return newDestination(t, address, history(1, true)) })
}

func TestOneServerWithoutAtomicBatches(t *testing.T) {
	t.Parallel()
	address := start(t, options(t.TempDir())).ClientURL()
	sinktest.TestEvents(t, func(t *testing.T) sinktest.Events { return newDestination(t, address, history(1, false)) })
}
