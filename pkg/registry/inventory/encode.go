package inventory

import (
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

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

// jsonIdentifier identifies the encoder whose output appenders make.
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
		buf := i.of.kind.appender().object(nil, i.object, i.of.kind.names().typeMeta(""))
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
