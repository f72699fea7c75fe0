package inventory

import (
	"io"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// bookmark is the object of a bookmark for the API server's encoders. Its table
// is shaped as those of its watch's rows: it may be the first of them, which
// alone has the columns.
type bookmark struct {
	object runtime.Object // of the API, without a name
	shape  *shape
	outer  int // as of an item
}

var (
	_ runtime.CacheableObject   = &bookmark{}
	_ metav1.ObjectMetaAccessor = &bookmark{}
)

// CacheEncode writes what the innermost encoder makes of the API object.
func (b *bookmark) CacheEncode(_ runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	if b.outer > 0 {
		inner := *b
		inner.outer--
		return encode(&inner, w)
	}
	return encode(b.object, w)
}

// GetObject returns the API object.
func (b *bookmark) GetObject() runtime.Object        { return b.object }
func (b *bookmark) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns a copy.
func (b *bookmark) DeepCopyObject() runtime.Object {
	c := *b
	c.object = b.object.DeepCopyObject()
	return &c
}

// GetObjectMeta returns the API object's metadata.
func (b *bookmark) GetObjectMeta() metav1.Object {
	accessor, err := meta.Accessor(b.object)
	if err != nil { // all served types have metadata
		panic(err)
	}
	return accessor
}
