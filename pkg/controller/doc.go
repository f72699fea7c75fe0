// Package controller makes the configuration resources of kollect.io come true:
// profiles and targets become what the collector collects, inventories become
// what the store keeps, and sinks become what the exporter exports to. What is
// wrong with any of them ends in its conditions and in an event, which name the
// field and the mend, and disturbs nothing else.
//
// It never reads the objects that targets select, never writes anything but
// statuses, events, its Lease and the finalizer of inventories, and never puts a
// secret into them.
//
// Its invariant: nothing is derived from configuration before all of it was
// read once, so an inventory never lacks a target that merely was not seen yet;
// and what was valid once stays in effect until what replaces it is valid too.
package controller
