package inventory

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// appender appends what encoding/json makes of objects. It keeps what many of
// them have in common, and must not be used concurrently.
type appender[T object] interface {
	// expect is told which objects come next.
	expect([]T)
	// object appends the API object, with typeMeta, which is empty or members with
	// a comma, before its other members.
	object(buf []byte, object T, typeMeta string) []byte
	// metadata appends the object's metadata.
	metadata(buf []byte, object T) []byte
	// cells appends the cells of the object's row in a table.
	cells(buf []byte, object T, s *shape) []byte
}

// rowAppender appends rows.
type rowAppender struct {
	now time.Time

	// What the last row had, and how it is encoded.
	inventory *inventory.Inventory
	belongs   []byte // to inventory
	target    inventory.TargetRef
	collected []byte // for target
	created   time.Time
	stamp     []byte // of created
	sources   []sourceJSON

	// For the cells of a table.
	aged   time.Time
	age    []byte   // of aged
	values []string // of a row's promoted attributes

	touched byte
}

var _ appender[row] = &rowAppender{}

// sourceJSON is how a source starts.
type sourceJSON struct {
	resource *inventory.Resource
	json     []byte
}

// maxSources is for how many resources it is kept how sources start.
const maxSources = 16

func newRowAppender() *rowAppender { return &rowAppender{now: time.Now()} }

func (k rows) appender() appender[row] { return newRowAppender() }

// expect reads a little of each row's memory, which lies anywhere: the processor
// waits for all of it at once, and not for one after the other.
func (a *rowAppender) expect(rows []row) {
	for i := range rows {
		a.touched += byte(rows[i].Row.Created().Second())
	}
	for i := range rows {
		a.touch(rows[i].Row)
	}
}

func (a *rowAppender) touch(r *inventory.Row) {
	labels, attributes := r.Labels(), r.Attributes()
	a.touched += labels[0] + labels[len(labels)-1] + attributes[len(attributes)/2] + attributes[len(attributes)-1]
}

func (a *rowAppender) object(buf []byte, r row, typeMeta string) []byte {
	return a.appendAs(buf, &r, typeMeta, r.inventory.Namespace, "")
}

func (a *rowAppender) metadata(buf []byte, r row) []byte {
	return a.appendMeta(buf, &r, r.inventory.Namespace)
}

// appendAs appends a row as an object in a namespace, which says, if that is not
// empty, which the inventory's is.
func (a *rowAppender) appendAs(buf []byte, r *row, typeMeta, namespace, origin string) []byte {
	content := r.Row
	buf = append(append(append(buf, '{'), typeMeta...), `"metadata":`...)
	buf = a.appendMeta(buf, r, namespace)
	if origin != "" {
		buf = inventory.AppendJSONString(append(buf, `,"inventoryNamespace":`...), origin)
	}
	buf = append(append(buf, a.belongsTo(r.inventory)...), a.collectedFor(content.Target())...)
	buf = append(buf, a.sourceOf(content.Resource())...)
	if namespace := content.Namespace(); namespace != "" {
		buf = inventory.AppendJSONString(append(buf, `,"namespace":`...), namespace)
	}
	buf = inventory.AppendJSONString(append(buf, `,"name":`...), content.Name())
	buf = inventory.AppendJSONString(append(buf, `,"uid":`...), content.UID())
	buf = append(append(buf, a.createdAt(content.Created())...), '}')
	if attributes := content.Attributes(); attributes != "{}" {
		buf = append(append(buf, `,"attributes":`...), attributes...)
	}
	return append(buf, '}')
}

func (a *rowAppender) appendMeta(buf []byte, r *row, namespace string) []byte {
	buf = appendRowName(append(buf, `{"name":`...), r.inventory.Name, r.Key)
	if namespace != "" {
		buf = inventory.AppendJSONString(append(buf, `,"namespace":`...), namespace)
	}
	buf = append(appendUID(append(buf, `,"uid":"`...), r.Key), `","resourceVersion":"`...)
	buf = append(strconv.AppendUint(buf, r.Version, 10), '"')
	buf = append(buf, a.createdAt(r.Row.Created())...)
	if labels := r.Row.Labels(); labels != "{}" {
		buf = append(append(buf, `,"labels":`...), labels...)
	}
	return append(buf, '}')
}

// belongsTo returns the members that say what is the inventory's.
func (a *rowAppender) belongsTo(i *inventory.Inventory) []byte {
	if i != a.inventory {
		a.inventory = i
		a.belongs = inventory.AppendJSONString(append(a.belongs[:0], `,"inventory":`...), i.Name)
		a.belongs = inventory.AppendJSONString(append(a.belongs, `,"cluster":`...), i.Cluster)
	}
	return a.belongs
}

// collectedFor returns the member that says for which target.
func (a *rowAppender) collectedFor(t inventory.TargetRef) []byte {
	if t != a.target || a.collected == nil {
		a.target = t
		a.collected = append(a.collected[:0], `,"target":{`...)
		if t.Namespace != "" {
			a.collected = append(inventory.AppendJSONString(append(a.collected, `"namespace":`...), t.Namespace), ',')
		}
		a.collected = append(inventory.AppendJSONString(append(a.collected, `"name":`...), t.Name), '}')
	}
	return a.collected
}

// sourceOf returns the start of the member that says from where.
func (a *rowAppender) sourceOf(r *inventory.Resource) []byte {
	at := slices.IndexFunc(a.sources, func(s sourceJSON) bool { return s.resource == r })
	if at < 0 {
		if len(a.sources) < maxSources {
			a.sources = append(a.sources, sourceJSON{})
		}
		at = len(a.sources) - 1
		s := &a.sources[at]
		s.resource = r
		s.json = inventory.AppendJSONString(append(s.json[:0], `,"source":{"group":`...), r.Group)
		s.json = inventory.AppendJSONString(append(s.json, `,"version":`...), r.Version)
		s.json = inventory.AppendJSONString(append(s.json, `,"resource":`...), r.Resource)
		s.json = inventory.AppendJSONString(append(s.json, `,"kind":`...), r.Kind)
	}
	return a.sources[at].json
}

// createdAt returns the member that says when, if that is known.
func (a *rowAppender) createdAt(t time.Time) []byte {
	if t != a.created {
		a.created, a.stamp = t, a.stamp[:0]
		if !t.IsZero() {
			a.stamp = append(t.AppendFormat(append(a.stamp, `,"creationTimestamp":"`...), time.RFC3339), '"')
		}
	}
	return a.stamp
}

// appendRowName appends a row's name as JSON. Names of inventories need no
// escapes.
func appendRowName(buf []byte, name string, key inventory.Key) []byte {
	buf = append(append(append(buf, '"'), name...), '.')
	buf, _ = key.AppendText(buf)
	return append(buf, '"')
}

// accessibleAppender appends rows in the namespaces of their sources.
type accessibleAppender struct{ *rowAppender }

var _ appender[accessibleRow] = accessibleAppender{}

func (k accessibleRows) appender() appender[accessibleRow] {
	return accessibleAppender{newRowAppender()}
}

func (a accessibleAppender) expect(rows []accessibleRow) {
	for i := range rows {
		a.touched += byte(rows[i].Row.Created().Second())
	}
	for i := range rows {
		a.touch(rows[i].Row)
	}
}

func (a accessibleAppender) object(buf []byte, r accessibleRow, typeMeta string) []byte {
	return a.appendAs(buf, &r.row, typeMeta, r.Row.Namespace(), r.inventory.Namespace)
}

func (a accessibleAppender) metadata(buf []byte, r accessibleRow) []byte {
	return a.appendMeta(buf, &r.row, r.Row.Namespace())
}

// headAppender appends inventories, which are few.
type headAppender struct{ heads }

var _ appender[head] = headAppender{}

func (k heads) appender() appender[head] { return headAppender{k} }

func (headAppender) expect([]head) {}

func (headAppender) object(buf []byte, h head, typeMeta string) []byte {
	return append(append(append(buf, '{'), typeMeta...), marshal(h.typed())[1:]...)
}

func (headAppender) metadata(buf []byte, h head) []byte {
	meta := h.meta()
	return append(buf, marshal(&meta)...)
}

// marshal encodes what nothing of fails to encode.
func marshal(value any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return encoded
}
