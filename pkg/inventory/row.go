package inventory

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// Resource is the kind of resource that a row was read from. It is shared by
// all rows of that resource and never changes.
type Resource struct {
	Group, Version string
	// Resource is the plural name, such as deployments.
	Resource string
	Kind     string
}

// TargetRef names a target; Namespace is empty for a cluster target.
type TargetRef struct {
	Namespace, Name string
}

// Compare orders targets by namespace, then name.
func (t TargetRef) Compare(other TargetRef) int {
	if c := strings.Compare(t.Namespace, other.Namespace); c != 0 {
		return c
	}
	return strings.Compare(t.Name, other.Name)
}

func (t TargetRef) String() string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "/" + t.Name
}

// RowIdentity is the stable key of a collected row (ADR-0305). UID is the
// authority: a recreated object is another row.
type RowIdentity struct {
	Target          TargetRef
	Namespace, Name string
	UID             string
}

// Compare orders identities by target, namespace, name and UID: row order.
func (i RowIdentity) Compare(other RowIdentity) int {
	if c := i.Target.Compare(other.Target); c != 0 {
		return c
	}
	if c := strings.Compare(i.Namespace, other.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(i.Name, other.Name); c != 0 {
		return c
	}
	return strings.Compare(i.UID, other.UID)
}

// RowHash is 128 bits of SHA-256 over a row's content.
type RowHash [16]byte

// Row is what was extracted from one object for one target.
//
// **A Row never changes and is shared between snapshots and goroutines.** It
// is kept compact: one string holds the parts that differ from row to row.
type Row struct {
	resource  *Resource
	target    *TargetRef
	namespace string
	data      string // name, uid, labels, attributes
	uidAt     uint32
	labelsAt  uint32
	attrsAt   uint32
	created   int64 // Unix seconds; those of the zero time when there is none
	hash      RowHash
}

// RowContent is what NewRow makes a row of.
type RowContent struct {
	// Resource and Target are kept by reference: share them between rows.
	Resource *Resource
	Target   *TargetRef
	// Namespace is kept by reference: intern it.
	Namespace string
	Name, UID string
	// Created is the object's creation time, in whole seconds.
	Created time.Time
	Labels  map[string]string
	// Attributes is a JSON object with sorted keys and no insignificant space;
	// empty means {}.
	Attributes []byte
}

// NewRow returns the row of the given content.
func NewRow(c RowContent) *Row {
	var scratch [1024]byte
	data := append(scratch[:0], c.Name...)
	data = append(data, c.UID...)
	labelsAt := len(data)
	data = appendLabels(data, c.Labels)
	attrsAt := len(data)
	if len(c.Attributes) == 0 {
		data = append(data, "{}"...)
	}
	data = append(data, c.Attributes...)
	r := &Row{
		resource:  c.Resource,
		target:    c.Target,
		namespace: c.Namespace,
		data:      string(data),
		uidAt:     uint32(len(c.Name)),
		labelsAt:  uint32(labelsAt),
		attrsAt:   uint32(attrsAt),
		created:   c.Created.Unix(),
	}
	r.hash = r.digest()
	return r
}

// digest covers all of the content, each part with its length before it.
func (r *Row) digest() RowHash {
	var scratch [1024]byte
	buf := scratch[:0]
	for _, part := range [...]string{
		r.resource.Group, r.resource.Version, r.resource.Resource, r.resource.Kind,
		r.target.Namespace, r.target.Name, r.namespace,
		r.Name(), r.UID(), r.Labels(), r.Attributes(),
	} {
		buf = appendPart(buf, part)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(r.created))
	sum := sha256.Sum256(buf)
	return RowHash(sum[:16])
}

func appendPart(buf []byte, part string) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(part)))
	return append(buf, part...)
}

// Resource is the kind of resource that the row was read from.
func (r *Row) Resource() *Resource { return r.resource }

// Target is the target that collected the row.
func (r *Row) Target() TargetRef { return *r.target }

// Namespace of the object; empty for cluster-scoped resources.
func (r *Row) Namespace() string { return r.namespace }

// Name of the object.
func (r *Row) Name() string { return r.data[:r.uidAt] }

// UID of the object.
func (r *Row) UID() string { return r.data[r.uidAt:r.labelsAt] }

// Created is the object's creation time in UTC, or zero if it has none.
func (r *Row) Created() time.Time {
	return time.Unix(r.created, 0).UTC()
}

// Labels are the object's labels as a JSON object with sorted keys, without
// insignificant space; {} when there are none.
func (r *Row) Labels() string { return r.data[r.labelsAt:r.attrsAt] }

// Attributes are the extracted values as a JSON object with sorted keys,
// without insignificant space.
func (r *Row) Attributes() string { return r.data[r.attrsAt:] }

// Hash identifies the row's content, identity included.
func (r *Row) Hash() RowHash { return r.hash }

// Identity returns the row's key.
func (r *Row) Identity() RowIdentity {
	return RowIdentity{Target: *r.target, Namespace: r.namespace, Name: r.Name(), UID: r.UID()}
}

func appendLabels(buf []byte, labels map[string]string) []byte {
	var scratch [16]string
	keys := scratch[:0]
	for k := range labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	buf = append(buf, '{')
	for i, k := range keys {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = AppendJSONString(buf, k)
		buf = append(buf, ':')
		buf = AppendJSONString(buf, labels[k])
	}
	return append(buf, '}')
}
