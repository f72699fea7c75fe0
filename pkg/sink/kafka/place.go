package kafka

import (
	"hash/fnv"
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// clusterSegment stands for the namespace of cluster inventories.
const clusterSegment = "_cluster"

// place is where an inventory's records are: what their keys begin with. Names in
// it never begin with '_', but for the name "_".
type place string

func placeOf(of *inventory.Inventory) place {
	namespace := clusterSegment
	if of.Namespace != "" {
		namespace = cloudevent.Segment(of.Namespace)
	}
	return place(cloudevent.Segment(of.Cluster) + "/" + namespace + "/" + cloudevent.Segment(of.Name))
}

// What the keys of markers end with. A row's key never begins with '_'.
const (
	keyBegin      = "_begin"
	keyEnd        = "_end"
	keyCheckpoint = "_checkpoint"
)

// last returns what a key of the inventory ends with, and false for other keys.
func (p place) last(key []byte) (string, bool) {
	return strings.CutPrefix(string(key), string(p)+"/")
}

// transactional is the prefix of all transactional IDs.
const transactional = "kollect-"

// transactionalID is that of all who write the inventory to the topic.
func (p place) transactionalID(topic string) string {
	return transactional + topic + "/" + string(p)
}

// partitions returns in which of n partitions the records may be: first where those
// of a new inventory go, then where they went when there were fewer partitions, which
// is where they stay. It is a consistent hash, "jump" by Lamping and Veach, under
// which an added partition takes inventories from others and none is moved between
// those.
func (p place) partitions(n int32) []int32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p)) // never fails
	seed := h.Sum64()
	var found []int32
	for next := int64(0); next < int64(n); {
		found = append(found, int32(next))
		seed = seed*2862933555777941757 + 1
		next = int64(float64(next+1) * (float64(int64(1)<<31) / float64(seed>>33+1)))
	}
	slices.Reverse(found)
	return found
}
