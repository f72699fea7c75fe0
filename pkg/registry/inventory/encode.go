package inventory

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// bufferSize is how much of a list is written at a time.
const bufferSize = 64 << 10

// NewSerializer returns the serializer of the served kinds, which have no other
// forms than JSON and YAML.
func NewSerializer(scheme *runtime.Scheme) runtime.NegotiatedSerializer {
	return textSerializer{serializer.NewCodecFactory(scheme, serializer.WithStreamingCollectionEncodingToJSON())}
}

type textSerializer struct{ serializer.CodecFactory }

func (s textSerializer) SupportedMediaTypes() []runtime.SerializerInfo {
	var text []runtime.SerializerInfo
	for _, info := range s.CodecFactory.SupportedMediaTypes() {
		if info.MediaType == runtime.ContentTypeJSON || info.MediaType == runtime.ContentTypeYAML {
			text = append(text, info)
		}
	}
	return text
}

// jsonIdentifier identifies the encoder whose output appendJSON makes.
func jsonIdentifier(s runtime.NegotiatedSerializer) runtime.Identifier {
	info, ok := runtime.SerializerInfoForMediaType(s.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		return ""
	}
	return s.EncoderForVersion(info.Serializer, inventoryv1alpha1.SchemeGroupVersion).Identifier()
}

// item is one object for the API server's encoders.
type item[T object] struct {
	of     *store[T]
	object T
	// shape is that of the request's tables.
	shape *shape
	// outer is how many encoders ask this object before the one that encodes the
	// object itself.
	outer int
}

// watchEncoders are the outer encoders of a watch: one for the event and one
// that makes tables.
const watchEncoders = 2

var (
	_ runtime.CacheableObject   = &item[row]{}
	_ metav1.ObjectMetaAccessor = &item[row]{}
)

func (s *store[T]) item(object T) *item[T] { return &item[T]{of: s, object: object} }

// CacheEncode writes JSON without a typed object.
func (i *item[T]) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	switch {
	case id == i.of.json:
		buf := i.object.appendJSON(nil, i.of.kind.names().typeMeta(""))
		_, err := w.Write(append(buf, '\n'))
		return err
	case i.outer > 0:
		inner := *i
		inner.outer--
		return encode(&inner, w)
	}
	return encode(i.object.typed(), w)
}

// GetObject returns the API object.
func (i *item[T]) GetObject() runtime.Object        { return i.object.typed() }
func (i *item[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the object itself, which never changes.
func (i *item[T]) DeepCopyObject() runtime.Object { return i }

// GetObjectMeta returns a copy of the object's metadata.
func (i *item[T]) GetObjectMeta() metav1.Object {
	meta := i.object.meta()
	return &meta
}

// writeJSON writes what encoding/json makes of the typed list.
func (l *list[T]) writeJSON(w io.Writer) error {
	meta, err := json.Marshal(l.ListMeta)
	if err != nil {
		return err
	}
	// By a first write of 4 bytes or less the response writer sees that more
	// comes, and that compression may pay.
	if _, err := io.WriteString(w, "{"); err != nil {
		return err
	}
	buf := make([]byte, 0, bufferSize+bufferSize/8)
	buf = append(buf, l.of.kind.names().typeMeta("List")...)
	buf = append(append(append(buf, `"metadata":`...), meta...), `,"items":[`...)
	first := true
	for object := range l.objects {
		if !first {
			buf = append(buf, ',')
		}
		first = false
		if buf = object.appendJSON(buf, ""); len(buf) < bufferSize {
			continue
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	_, err = w.Write(append(buf, "]}\n"...))
	return err
}

func (r row) appendJSON(buf []byte, typeMeta string) []byte {
	return r.appendAs(buf, typeMeta, r.inventory.Namespace, "")
}

// appendAs is appendJSON for an object in a namespace, which says, if that is not
// empty, which the inventory's is.
func (r row) appendAs(buf []byte, typeMeta, namespace, origin string) []byte {
	def, content := r.inventory, r.Row
	buf = append(append(append(buf, '{'), typeMeta...), `"metadata":{"name":`...)
	buf = appendRowName(buf, def.Name, r.Key)
	if namespace != "" {
		buf = inventory.AppendJSONString(append(buf, `,"namespace":`...), namespace)
	}
	buf = append(appendUID(append(buf, `,"uid":"`...), r.Key), `","resourceVersion":"`...)
	buf = append(strconv.AppendUint(buf, r.Version, 10), '"')
	createdAt := len(buf)
	buf = appendTime(buf, `,"creationTimestamp":"`, content.Created())
	createdEnd := len(buf)
	if labels := content.Labels(); labels != "{}" {
		buf = append(append(buf, `,"labels":`...), labels...)
	}
	buf = append(buf, '}')
	if origin != "" {
		buf = inventory.AppendJSONString(append(buf, `,"inventoryNamespace":`...), origin)
	}
	buf = inventory.AppendJSONString(append(buf, `,"inventory":`...), def.Name)
	buf = inventory.AppendJSONString(append(buf, `,"cluster":`...), def.Cluster)
	buf = append(buf, `,"target":{`...)
	target := content.Target()
	if target.Namespace != "" {
		buf = append(inventory.AppendJSONString(append(buf, `"namespace":`...), target.Namespace), ',')
	}
	buf = inventory.AppendJSONString(append(buf, `"name":`...), target.Name)
	resource := content.Resource()
	buf = inventory.AppendJSONString(append(buf, `},"source":{"group":`...), resource.Group)
	buf = inventory.AppendJSONString(append(buf, `,"version":`...), resource.Version)
	buf = inventory.AppendJSONString(append(buf, `,"resource":`...), resource.Resource)
	buf = inventory.AppendJSONString(append(buf, `,"kind":`...), resource.Kind)
	if namespace := content.Namespace(); namespace != "" {
		buf = inventory.AppendJSONString(append(buf, `,"namespace":`...), namespace)
	}
	buf = inventory.AppendJSONString(append(buf, `,"name":`...), content.Name())
	buf = inventory.AppendJSONString(append(buf, `,"uid":`...), content.UID())
	buf = append(append(buf, buf[createdAt:createdEnd]...), '}')
	if attributes := content.Attributes(); attributes != "{}" {
		buf = append(append(buf, `,"attributes":`...), attributes...)
	}
	return append(buf, '}')
}

// appendRowName appends a row's name as JSON. Names of inventories need no
// escapes.
func appendRowName(buf []byte, name string, key inventory.Key) []byte {
	buf = append(append(append(buf, '"'), name...), '.')
	buf, _ = key.AppendText(buf)
	return append(buf, '"')
}

// appendTime appends a member and the quotation mark at its end, if it has a
// value.
func appendTime(buf []byte, member string, t time.Time) []byte {
	if t.IsZero() {
		return buf
	}
	return append(t.AppendFormat(append(buf, member...), time.RFC3339), '"')
}

func (h head) appendJSON(buf []byte, typeMeta string) []byte {
	encoded, err := json.Marshal(h.typed())
	if err != nil { // the type has nothing that fails to encode
		panic(err)
	}
	return append(append(append(buf, '{'), typeMeta...), encoded[1:]...)
}
