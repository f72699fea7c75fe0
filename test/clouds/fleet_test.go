package clouds_test

import (
	"testing"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/test/fleet"
)

// testFleet has several clusters export to one bucket.
func testFleet(t *testing.T, d *destination) {
	fleet.Test(t, fleet.Destination{Read: d.Read, Open: func(t *testing.T) (sink.Store, func() export.Destination) {
		store := d.Open(t)
		return store, func() export.Destination { return export.FromSnapshotStore(store) }
	}})
}
