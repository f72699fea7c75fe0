package inventory

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

func (r row) name() string { return r.inventory.Name + "." + r.Key.String() }

// parseRowName takes a row's name apart. The inventory's may have dots.
func parseRowName(name string) (inventoryName string, key inventory.Key, ok bool) {
	dot := len(name) - inventory.KeyLength - 1
	if dot < 1 || name[dot] != '.' {
		return "", key, false
	}
	key, ok = inventory.ParseKey(name[dot+1:])
	return name[:dot], key, ok
}

func (r row) key() string { return objectKey(r.inventory.Namespace, r.name()) }

func objectKey(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

func (r row) meta() metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Name:              r.name(),
		Namespace:         r.inventory.Namespace,
		UID:               types.UID(appendUID(nil, r.Key)),
		ResourceVersion:   strconv.FormatUint(r.Version, 10),
		CreationTimestamp: metav1.Time{Time: r.Row.Created()},
	}
	if r.Row.Labels() != "{}" {
		meta.Labels = decodeLabels(r.Row.Labels())
	}
	return meta
}

// decodeLabels reads labels, which seldom have anything to unescape.
func decodeLabels(text string) (set map[string]string) {
	if strings.IndexByte(text, '\\') >= 0 {
		decode(text, &set)
		return set
	}
	set = make(map[string]string, strings.Count(text, ",")+1)
	for name, value := range inventory.Members(text) {
		set[name] = value[1 : len(value)-1]
	}
	return set
}

// appendUID appends a UUID (RFC 9562, version 8) that is formed from the key,
// so that it is the same on every replica.
func appendUID(buf []byte, key inventory.Key) []byte {
	key[6] = key[6]&0x0f | 0x80
	key[8] = key[8]&0x3f | 0x80
	const length = 36
	buf = slices.Grow(buf, length)
	text := buf[len(buf) : len(buf)+length]
	hex.Encode(text, key[:4])
	text[8] = '-'
	hex.Encode(text[9:], key[4:6])
	text[13] = '-'
	hex.Encode(text[14:], key[6:8])
	text[18] = '-'
	hex.Encode(text[19:], key[8:10])
	text[23] = '-'
	hex.Encode(text[24:], key[10:])
	return buf[:len(buf)+length]
}

func (r row) typed() runtime.Object {
	if r.inventory.Scope() == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventoryRow{ObjectMeta: r.meta(), RowContent: r.content()}
	}
	return &inventoryv1alpha1.InventoryRow{ObjectMeta: r.meta(), RowContent: r.content()}
}

func (r row) content() inventoryv1alpha1.RowContent {
	resource, target := r.Row.Resource(), r.Row.Target()
	content := inventoryv1alpha1.RowContent{
		Inventory: r.inventory.Name,
		Cluster:   r.inventory.Cluster,
		Target:    inventoryv1alpha1.TargetReference{Namespace: target.Namespace, Name: target.Name},
		Source: inventoryv1alpha1.Source{
			Group:             resource.Group,
			Version:           resource.Version,
			Resource:          resource.Resource,
			Kind:              resource.Kind,
			Namespace:         r.Row.Namespace(),
			Name:              r.Row.Name(),
			UID:               r.Row.UID(),
			CreationTimestamp: timeOrNil(r.Row.Created()),
		},
	}
	if r.Row.Attributes() != "{}" {
		decode(r.Row.Attributes(), &content.Attributes)
	}
	return content
}

// decode reads JSON that a row was made with, which is valid.
func decode(text string, into any) {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		panic(err)
	}
}

func timeOrNil(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}

func (h head) key() string { return objectKey(h.inventory.Namespace, h.inventory.Name) }

func (h head) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              h.inventory.Name,
		Namespace:         h.inventory.Namespace,
		UID:               types.UID(h.inventory.UID),
		ResourceVersion:   strconv.FormatUint(h.version, 10),
		CreationTimestamp: metav1.Time{Time: h.inventory.Created},
	}
}

func (h head) typed() runtime.Object {
	if h.inventory.Scope() == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventory{ObjectMeta: h.meta(), Status: h.status()}
	}
	return &inventoryv1alpha1.Inventory{ObjectMeta: h.meta(), Status: h.status()}
}

func (h head) status() inventoryv1alpha1.InventoryStatus {
	status := inventoryv1alpha1.InventoryStatus{
		Cluster:        h.inventory.Cluster,
		ContentHash:    h.Hash.String(),
		SpecGeneration: h.inventory.SpecGeneration,
		Generation:     h.Generation,
		Rows:           int64(h.Rows),
		ObservedTime:   timeOrNil(h.Observed),
	}
	for _, k := range h.Kinds {
		status.Kinds = append(status.Kinds, inventoryv1alpha1.KindCount{Group: k.Group, Kind: k.Kind, Rows: int64(k.Rows)})
	}
	for t := range h.Targets() {
		status.Targets = append(status.Targets, inventoryv1alpha1.TargetState{
			Namespace: t.Target.Namespace, Name: t.Target.Name, Rows: int64(t.Rows), Synced: t.Synced, Stale: t.Stale,
			Message: t.Message, ResourceVersion: t.ResourceVersion,
		})
	}
	for _, s := range h.Sinks {
		status.Sinks = append(status.Sinks, inventoryv1alpha1.SinkState{
			Name: s.Name, Generation: s.Generation, ContentHash: s.Hash, Rows: s.Rows,
			LastSuccessTime: timeOrNil(s.LastSuccess), LastError: s.LastError, RetryTime: timeOrNil(s.RetryTime),
		})
	}
	for _, c := range h.Conditions {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: c.Type, Status: metav1.ConditionStatus(c.Status), ObservedGeneration: c.ObservedGeneration,
			LastTransitionTime: metav1.Time{Time: c.LastTransition}, Reason: c.Reason, Message: c.Message,
		})
	}
	return status
}
