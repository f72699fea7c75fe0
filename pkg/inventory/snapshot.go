package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
	"time"
)

// ContentHash is a SHA-256 digest over the rows of a snapshot: a Merkle root
// over the keys and row hashes in their order. Equal contents have equal
// hashes on every replica and after every restart.
type ContentHash [sha256.Size]byte

// String returns sha256: and 64 hexadecimal digits.
func (h ContentHash) String() string { return "sha256:" + hex.EncodeToString(h[:]) }

// emptyHash is the content hash of a snapshot without rows.
var emptyHash = ContentHash(sha256.Sum256([]byte{leafMark}))

// Snapshot is what an inventory held at one version of its store.
//
// **A Snapshot never changes.** Taking one costs nothing and any number of
// goroutines may read it; it shares its rows with older and newer ones.
type Snapshot struct {
	inventory *Inventory
	root      *node
	index     *index // of root; nil: there is none
	head      *Head
}

// Inventory describes the inventory that the snapshot is of.
func (s *Snapshot) Inventory() *Inventory { return s.inventory }

// Head returns all that is known of the snapshot but its rows. It says nothing,
// and has version 0, in a past state between the events of an Update that added
// the inventory, whose head came after its rows.
func (s *Snapshot) Head() *Head { return s.head }

// Len returns the number of rows.
func (s *Snapshot) Len() int { return s.root.len() }

// Hash returns the content hash.
func (s *Snapshot) Hash() ContentHash {
	if s.root == nil {
		return emptyHash
	}
	return s.root.hash
}

// Get returns the entry of key.
func (s *Snapshot) Get(key Key) (Entry, bool) { return s.root.get(key) }

// Rank returns how many rows come before key.
func (s *Snapshot) Rank(key Key) int { return s.root.rank(key) }

// All yields the entries in the order of their keys.
func (s *Snapshot) All() iter.Seq[Entry] { return s.From(Key{}) }

// From yields the entries from key on, in order.
func (s *Snapshot) From(key Key) iter.Seq[Entry] {
	return func(yield func(Entry) bool) { s.root.ascend(0, key, yield) }
}

// Entries yields the entries in the order of their keys without copying them,
// for those who keep a million of them in another order. **They must not be
// changed.**
func (s *Snapshot) Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) { s.root.visit(func(i *item) bool { return yield(&i.Entry) }) }
}

// Change is how one row differs between two snapshots: Before is zero when it
// was added, After when it was removed.
type Change struct {
	Before, After Entry
}

// Diff yields how after differs in content from before, in the order of keys:
// applying it to before gives after. Either may be nil for an empty snapshot;
// both must be of one inventory and cluster. It costs O(changes log n).
func Diff(before, after *Snapshot) iter.Seq[Change] {
	var a, b *node
	if before != nil {
		a = before.root
	}
	if after != nil {
		b = after.root
	}
	return func(yield func(Change) bool) {
		d := differ{yield: func(before, after Entry) bool { return yield(Change{before, after}) }}
		d.diff(a, b)
	}
}

// KindCount is how many rows an inventory has of one kind.
type KindCount struct {
	Group, Kind string
	Rows        int
}

// SinkState is the state of an inventory at one sink.
type SinkState struct {
	Name string
	// Generation, Hash and Rows are what the sink holds; zero when unknown.
	Generation  int64
	Hash        string
	Rows        int64
	LastSuccess time.Time
	// LastError is empty after a success. It has no secrets.
	LastError string
	RetryTime time.Time
}

// Condition is a condition of an inventory, with the meanings of metav1.Condition.
type Condition struct {
	Type, Status, Reason, Message string
	ObservedGeneration            int64
	LastTransition                time.Time
}

// Head is all of a snapshot but its rows. **A Head never changes.**
type Head struct {
	// Version is the store's version at which the head was last changed.
	Version uint64
	Hash    ContentHash
	Rows    int
	// Kinds is ordered by group and kind.
	Kinds []KindCount
	// Observed is when the newest event arrived that the snapshot reflects.
	Observed time.Time
	targets  targetStates
	// inventory describes the inventory as it was then.
	inventory *Inventory
	Status
}

// Status is what others tell the store about an inventory.
type Status struct {
	// Generation is the export generation of the last content that was handed to
	// the exporter.
	Generation int64
	Sinks      []SinkState
	Conditions []Condition
}

func (s Status) equal(other Status) bool {
	return s.Generation == other.Generation &&
		slices.EqualFunc(s.Sinks, other.Sinks, SinkState.equal) &&
		slices.EqualFunc(s.Conditions, other.Conditions, Condition.equal)
}

// equal ignores in which way two equal times are written.
func (s SinkState) equal(other SinkState) bool {
	equal := s.LastSuccess.Equal(other.LastSuccess) && s.RetryTime.Equal(other.RetryTime)
	s.LastSuccess, s.RetryTime = other.LastSuccess, other.RetryTime
	return equal && s == other
}

func (c Condition) equal(other Condition) bool {
	equal := c.LastTransition.Equal(other.LastTransition)
	c.LastTransition = other.LastTransition
	return equal && c == other
}

// Targets yields the states of the inventory's targets in order.
func (h *Head) Targets() iter.Seq[*TargetState] { return h.targets.all }

// Synced reports whether the first list of every target is complete.
func (h *Head) Synced() bool { return h.targets.unsynced == 0 }

// Stale reports whether any target is stale.
func (h *Head) Stale() bool { return h.targets.stale > 0 }
