package inventory

import (
	"slices"
	"testing"
	"time"
)

// What changes nothing makes no state and no event.
func TestNoChange(t *testing.T) {
	s, c := newTestStore(Options{})
	target := *testTargets[0]
	status := Status{Sinks: []SinkState{{Name: "lake", LastSuccess: testTime, RetryTime: testTime}}, Conditions: []Condition{{Type: "Ready", LastTransition: testTime}}}
	def := Inventory{Ref: testRefs[0], Cluster: "prod", Targets: []TargetRef{target}}
	columns := []Column{{Name: "image", Type: ColumnString}}
	s.Update(func(tx *Tx) {
		tx.SetTarget(target, columns)
		tx.SetTargetState(target, TargetState{Synced: true, ResourceVersion: "1"})
		tx.Put(testRow(testTargets[0], 1, 0), "1")
		tx.SetStatus(def.Ref, status)
	})
	elsewhere := testTime.In(time.FixedZone("", 3600))
	sameStatus := Status{Sinks: slices.Clone(status.Sinks), Conditions: slices.Clone(status.Conditions)}
	sameStatus.Sinks[0].LastSuccess, sameStatus.Sinks[0].RetryTime, sameStatus.Conditions[0].LastTransition = elsewhere, elsewhere, elsewhere
	for name, update := range map[string]func(*Tx){
		"nothing":   func(*Tx) {},
		"equal row": func(tx *Tx) { tx.Put(testRow(testTargets[0], 1, 0), "2") },
		"row there and back": func(tx *Tx) {
			tx.Put(testRow(testTargets[0], 1, 1), "")
			tx.Put(testRow(testTargets[0], 1, 3), "")
			tx.Put(testRow(testTargets[0], 1, 0), "")
		},
		"row gone and back": func(tx *Tx) {
			tx.Remove(testRow(testTargets[0], 1, 0))
			tx.Put(testRow(testTargets[0], 1, 0), "")
		},
		"row come and gone": func(tx *Tx) {
			tx.Put(testRow(testTargets[0], 2, 0), "")
			tx.Remove(testRow(testTargets[0], 2, 0))
		},
		"equal target":       func(tx *Tx) { tx.SetTarget(target, slices.Clone(columns)) },
		"equal target state": func(tx *Tx) { tx.SetTargetState(target, TargetState{Synced: true}) },
		"equal inventory":    func(tx *Tx) { tx.SetInventory(def) },
		"equal status":       func(tx *Tx) { tx.SetStatus(def.Ref, sameStatus) },
		"no such row":        func(tx *Tx) { tx.Remove(testRow(testTargets[0], 9, 0)) },
		"no such target":     func(tx *Tx) { tx.RemoveTarget(*testTargets[4]) },
		"no such inventory":  func(tx *Tx) { tx.RemoveInventory(testRefs[1]); tx.SetStatus(testRefs[1], status) },
		"unselected target":  func(tx *Tx) { tx.Put(testRow(testTargets[1], 1, 0), "3") },
	} {
		c.advance(time.Second)
		before := s.State()
		s.Update(update)
		if s.State() != before {
			t.Errorf("%s: there is a new state", name)
		}
	}
}

// A row's events and its head's name the columns of the state that they led to.
func TestEventsHaveTheNewDescription(t *testing.T) {
	s, _ := newTestStore(Options{})
	cursor, err := s.Follow(s.State().Version)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(func(tx *Tx) {
		tx.SetTarget(*testTargets[0], []Column{{Name: "image", Type: ColumnString}})
		tx.Put(testRow(testTargets[0], 1, 0), "")
	})
	events := drain(cursor)
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	for _, e := range events {
		if e.Inventory != s.State().Snapshot(testRefs[0]).Inventory() {
			t.Errorf("event %+v has another description than its state", e)
		}
	}
}

func TestObservedIsTheTimeOfTheLastRow(t *testing.T) {
	s, c := newTestStore(Options{})
	observed := func() time.Time { return s.State().Snapshot(testRefs[0]).Head().Observed }
	if !observed().IsZero() {
		t.Errorf("observed %v before any row", observed())
	}
	c.advance(time.Hour)
	change(s, 1)
	want := c.now
	c.advance(time.Hour)
	s.Update(func(tx *Tx) { tx.SetStatus(testRefs[0], Status{Generation: 2}) })
	if !observed().Equal(want) {
		t.Errorf("observed %v, want %v", observed(), want)
	}
}

func TestColumnsOfTargetsAreMerged(t *testing.T) {
	got := MergeColumns([]Column{
		{"b", ColumnInteger}, {"a", ColumnString}, {"b", ColumnInteger}, {"c", ColumnNumber}, {"c", ColumnBoolean}, {"c", ColumnNumber},
	})
	want := []Column{{"a", ColumnString}, {"b", ColumnInteger}, {"c", ColumnString}}
	if !slices.Equal(got, want) {
		t.Errorf("columns %v, want %v", got, want)
	}
}
