package inventory

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

// The headers that tell which content a download is. A file says only what
// depends on the content, so that equal contents have equal bytes.
const (
	headerContentHash     = "Kollect-Content-Hash"
	headerGeneration      = "Kollect-Generation"
	headerResourceVersion = "Kollect-Resource-Version"
	headerRows            = "Kollect-Rows"
	headerObserved        = "Kollect-Observed-Time"
	headerSynced          = "Kollect-Synced"
	headerStale           = "Kollect-Stale"
)

// download is one representation of a snapshot. Its bytes depend on its ETag
// alone.
type download struct {
	snapshot *inventory.Snapshot
	version  uint64
	format   format.Format
	gzip     bool
	sizes    *sizes
}

// serve answers the request, as far as it has a condition or is for a part too.
// It returns an error only if it has not answered. Once the body has begun, one
// that can't be completed is aborted, which clients see as an error.
func (d *download) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	etag := d.etag()
	w.Header().Set("ETag", etag)
	d.describe(w.Header())
	for _, text := range d.warnings() {
		warning.AddWarning(ctx, "", text)
	}
	if conditions := r.Header.Values("If-Match"); len(conditions) > 0 && !matches(conditions, etag) {
		return statusError(http.StatusPreconditionFailed, "PreconditionFailed", "the snapshot is another one than If-Match names")
	}
	if matches(weak(r.Header.Values("If-None-Match")), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Accept-Ranges", "bytes")
	status, part := http.StatusOK, extent{0, math.MaxInt64}
	size, known := d.sizes.get(d.key())
	if wanted := r.Header.Get("Range"); wanted != "" && r.Method == http.MethodGet && matches(r.Header.Values("If-Range"), etag) {
		if !known {
			var err error
			if size, err = d.count(ctx); err != nil {
				return err
			}
			known = true
		}
		switch ranged, ok := parseRange(wanted, size); {
		case ok && ranged.empty():
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
			return statusError(http.StatusRequestedRangeNotSatisfiable, "RangeNotSatisfiable", fmt.Sprintf("the snapshot has %d bytes", size))
		case ok:
			status, part = http.StatusPartialContent, ranged
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.from, part.to-1, size))
		}
	}
	if known {
		part.to = min(part.to, size)
		w.Header().Set("Content-Length", strconv.FormatInt(part.to-part.from, 10))
	}
	d.describeBody(w.Header())
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		d.send(ctx, w, part)
	}
	return nil
}

// send writes a part of the file as the body, or aborts.
func (d *download) send(ctx context.Context, w io.Writer, part extent) {
	body := &section{ctx: ctx, w: w, extent: part}
	switch err := d.encode(body); {
	case body.err == errEnough:
	case err == nil:
		d.sizes.set(d.key(), body.at)
	case body.err != nil: // the client has gone, or its time is over
		klog.FromContext(ctx).V(4).Info("Aborted download", "inventory", d.snapshot.Inventory().Ref, "bytes", body.at, "err", body.err)
		panic(http.ErrAbortHandler)
	default:
		klog.FromContext(ctx).Error(err, "Aborted download", "inventory", d.snapshot.Inventory().Ref, "bytes", body.at)
		panic(http.ErrAbortHandler)
	}
}

// count returns how long the file is.
func (d *download) count(ctx context.Context) (int64, error) {
	nowhere := &section{ctx: ctx, w: io.Discard, extent: extent{0, math.MaxInt64}}
	if err := d.encode(nowhere); err != nil {
		return 0, err
	}
	d.sizes.set(d.key(), nowhere.at)
	return nowhere.at, nil
}

// bufferSize is how much of a file is written at a time: what makes one record of
// TLS together with the header of an HTTP/2 frame, and so one system call where
// other sizes make two.
const bufferSize = 16<<10 - 9

// encode writes the file.
func (d *download) encode(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, bufferSize)
	to := io.Writer(buffered)
	var compressed *gzip.Writer
	if d.gzip {
		var err error
		if compressed, err = gzip.NewWriterLevel(buffered, gzip.BestSpeed); err != nil {
			return err
		}
		to = compressed
	}
	if err := d.format.Write(to, d.snapshot, format.Options{}); err != nil {
		return err
	}
	if compressed != nil {
		if err := compressed.Close(); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// etag returns a strong validator: the content hash, followed by what else the
// bytes depend on.
func (d *download) etag() string {
	of := d.snapshot.Inventory()
	tag := d.snapshot.Hash().String() + "-" + d.format.Schema(of)
	if d.snapshot.Len() == 0 {
		tag += "-" + of.Cluster // which the keys of rows tell, where there are any
	}
	if d.gzip {
		tag += "-gzip"
	}
	return `"` + tag + `"`
}

// key tells downloads of all inventories apart.
func (d *download) key() string { return d.snapshot.Inventory().Ref.String() + " " + d.etag() }

// describe sets the headers that tell which content the file has.
func (d *download) describe(header http.Header) {
	head := d.snapshot.Head()
	header.Set(headerContentHash, head.Hash.String())
	header.Set(headerResourceVersion, strconv.FormatUint(d.version, 10))
	header.Set(headerRows, strconv.Itoa(head.Rows))
	header.Set(headerSynced, strconv.FormatBool(head.Synced()))
	header.Set(headerStale, strconv.FormatBool(head.Stale()))
	if head.Generation != 0 {
		header.Set(headerGeneration, strconv.FormatInt(head.Generation, 10))
	}
	if !head.Observed.IsZero() {
		header.Set(headerObserved, head.Observed.UTC().Format(time.RFC3339))
	}
}

// describeBody sets the headers that tell how the file is to be read.
func (d *download) describeBody(header http.Header) {
	header.Set("Content-Type", d.format.ContentType())
	header.Set("X-Content-Type-Options", "nosniff")
	if d.gzip {
		header.Set("Content-Encoding", "gzip")
	}
	of := d.snapshot.Inventory()
	name := of.Name + "." + d.format.Extension()
	if of.Namespace != "" {
		name = of.Namespace + "_" + name
	}
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}

// warnings say what the snapshot may lack.
func (d *download) warnings() []string {
	var unsynced, stale []string
	for t := range d.snapshot.Head().Targets() {
		if !t.Synced {
			unsynced = append(unsynced, t.Target.String())
		}
		if t.Stale {
			stale = append(stale, t.Target.String())
		}
	}
	var texts []string
	if len(unsynced) > 0 {
		texts = append(texts, "the snapshot is not complete: the first list is not of target "+some(unsynced)+"; see status.targets of the inventory")
	}
	if len(stale) > 0 {
		texts = append(texts, "the snapshot is stale: it has what was last seen of target "+some(stale)+"; see status.targets of the inventory")
	}
	return texts
}

// some names a few, and tells how many there are.
func some(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &errors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}
