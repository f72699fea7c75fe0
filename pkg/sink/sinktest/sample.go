package sinktest

import (
	"fmt"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// Sample is an inventory whose rows a test changes. It is not safe for
// concurrent use; the snapshots are.
type Sample struct {
	store    *inventory.Store
	def      inventory.Inventory
	resource *inventory.Resource
	target   *inventory.TargetRef
	rows     map[string]*inventory.Row
}

// SampleColumns are the promoted attributes of a sample.
var SampleColumns = []inventory.Column{
	{Name: "image", Type: inventory.ColumnString},
	{Name: "paused", Type: inventory.ColumnBoolean},
	{Name: "ratio", Type: inventory.ColumnNumber},
	{Name: "replicas", Type: inventory.ColumnInteger},
}

// NewSample returns an inventory of Deployments without rows. An empty
// namespace in ref makes it a cluster inventory.
func NewSample(ref inventory.Ref) *Sample { return NewSampleOf("demo", ref) }

// NewSampleOf is NewSample for another cluster than demo.
func NewSampleOf(cluster string, ref inventory.Ref) *Sample {
	s := &Sample{
		store:    inventory.NewStore(inventory.Options{}),
		resource: &inventory.Resource{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"},
		target:   &inventory.TargetRef{Namespace: ref.Namespace, Name: "web"},
		rows:     map[string]*inventory.Row{},
	}
	s.def = inventory.Inventory{Ref: ref, Cluster: cluster, SpecGeneration: 1, Targets: []inventory.TargetRef{*s.target}}
	s.store.Update(func(tx *inventory.Tx) {
		tx.SetTarget(*s.target, SampleColumns)
		tx.SetTargetState(*s.target, inventory.TargetState{Synced: true})
		tx.SetInventory(s.def)
	})
	return s
}

// Set adds the Deployment, or changes its image.
func (s *Sample) Set(name, image string) {
	s.put([]*inventory.Row{s.row(name, image)})
}

// SetAttributes adds the Deployment, or changes its attributes, a JSON object
// with sorted keys.
func (s *Sample) SetAttributes(name, attributes string) {
	s.put([]*inventory.Row{s.rowOf(name, attributes)})
}

// Fill adds n Deployments of made-up names.
func (s *Sample) Fill(n int) {
	rows := make([]*inventory.Row, n)
	for i := range rows {
		rows[i] = s.row(fmt.Sprintf("app-%07d", i*7919%n), fmt.Sprintf("registry.example/team/app-%d:1.%d", i%200, i%17))
	}
	s.put(rows)
}

// Delete removes the Deployments of the given names, or all of them.
func (s *Sample) Delete(names ...string) {
	if len(names) == 0 {
		for name := range s.rows {
			names = append(names, name)
		}
	}
	s.store.Update(func(tx *inventory.Tx) {
		for _, name := range names {
			tx.Remove(s.rows[name])
			delete(s.rows, name)
		}
	})
}

// Promote replaces the promoted attributes.
func (s *Sample) Promote(columns ...inventory.Column) {
	s.store.Update(func(tx *inventory.Tx) { tx.SetTarget(*s.target, columns) })
}

// Store returns the store that the rows are in.
func (s *Sample) Store() *inventory.Store { return s.store }

// Snapshot returns the rows as they are now.
func (s *Sample) Snapshot() *inventory.Snapshot { return s.store.State().Snapshot(s.def.Ref) }

func (s *Sample) put(rows []*inventory.Row) {
	s.store.Update(func(tx *inventory.Tx) {
		for _, row := range rows {
			s.rows[row.Name()] = row
			tx.Put(row, "1")
		}
	})
}

func (s *Sample) row(name, image string) *inventory.Row {
	return s.rowOf(name, fmt.Sprintf(`{"image":%q,"paused":false,"ports":[80,443],"ratio":0.5,"replicas":3}`, image))
}

func (s *Sample) rowOf(name, attributes string) *inventory.Row {
	namespace := s.target.Namespace
	if namespace == "" {
		namespace = "team-" + string('a'+rune(len(name)%3))
	}
	return inventory.NewRow(inventory.RowContent{
		Resource:   s.resource,
		Target:     s.target,
		Namespace:  namespace,
		Name:       name,
		UID:        uid(name),
		Created:    time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC).Add(time.Duration(len(name)) * time.Minute),
		Labels:     map[string]string{"app": name, "tier": "web"},
		Attributes: []byte(attributes),
	})
}

// uid spreads like a random UID but depends on the name alone.
func uid(name string) string {
	h := [2]uint64{14695981039346656037, 1099511628211}
	for i := range len(name) {
		h[0] = (h[0] ^ uint64(name[i])) * 1099511628211
		h[1] = (h[1] + h[0]) * 6364136223846793005
	}
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h[0]>>32, h[0]>>16&0xffff, h[0]&0xfff, h[1]>>48&0xfff, h[1]&0xffffffffffff)
}
