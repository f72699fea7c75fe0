package objectstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// What a bucket says of the state of an object.
var (
	errNotFound = errors.New("no such object")
	errExists   = errors.New("the object exists already")
	errChanged  = errors.New("the object was changed by somebody else")
	errNoClass  = errors.New("the driver takes no storage class")
)

// object is one entry of a listing.
type object struct {
	key      string
	modified time.Time
}

// bucket is what a store needs of a place for objects.
type bucket interface {
	// create makes an object of what write writes: all of it or nothing, even if
	// the call is cut short. It holds a bounded part of it in memory. It returns
	// errExists if there is such an object.
	create(ctx context.Context, key, contentType string, write func(io.Writer) error) error
	// read returns an object and its version, or errNotFound. Of one that is longer
	// than limit it returns more than limit, and not all.
	read(ctx context.Context, key string, limit int64) (data []byte, version string, err error)
	// fetch copies an object of any size, or returns errNotFound.
	fetch(ctx context.Context, key string, w io.Writer) error
	// swap replaces the object if it has that version still; the empty version
	// means that there is none. It returns errChanged otherwise.
	swap(ctx context.Context, key, contentType string, data []byte, version string) error
	// list returns objects whose keys start with prefix, at most limit.
	list(ctx context.Context, prefix string, limit int) ([]object, error)
	// folders returns the keys, up to the slash, that objects have in common whose
	// keys start with parent, which ends with a slash.
	folders(ctx context.Context, parent string) ([]string, error)
	// remove deletes an object; it is no error if there is none.
	remove(ctx context.Context, key string) error
	// address returns the URL by which programs that know the store's kind read the
	// object, or an empty string if there are none.
	address(key string) string
	close() error
}

// maxPointer bounds what is read of a pointer.
const maxPointer = 64 << 10
