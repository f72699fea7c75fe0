package postgres

import (
	"testing"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/test/fleet"
)

func TestClustersShareATable(t *testing.T) {
	t.Parallel() // it waits, most of the time
	d := newDestination(server.DSN("postgres"), "hard")
	fleet.Test(t, fleet.Destination{Read: d.Read, Open: func(t *testing.T) (sink.Store, func() export.Destination) {
		store := d.Open(t)
		return store, func() export.Destination { return export.FromRelationalStore(store) }
	}})
}
