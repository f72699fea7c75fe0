package collect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// NewClient returns a dynamic client for a collector. It decodes a watched
// object in one pass, where that of client-go takes five, which is most of what
// a first sync costs; and it asks for no compression, which costs both ends more
// than it saves within a cluster. It does not write.
func NewClient(config *rest.Config) (dynamic.Interface, error) {
	config = dynamic.ConfigFor(config)
	config.AcceptContentTypes, config.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = negotiatedJSON{}
	config.DisableCompression = true
	config.Dial = pacedDial(config.Dial)
	config.GroupVersion = nil
	config.APIPath = "/api" // each request has a path of its own
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	return dynamic.New(client), nil
}

// negotiatedJSON decodes JSON into unstructured objects.
type negotiatedJSON struct{}

var _ runtime.NegotiatedSerializer = negotiatedJSON{}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (negotiatedJSON) SupportedMediaTypes() []runtime.SerializerInfo {
	return []runtime.SerializerInfo{{
		MediaType:        runtime.ContentTypeJSON,
		MediaTypeType:    "application",
		MediaTypeSubType: "json",
		EncodesAsText:    true,
		Serializer:       objectJSON{unstructured.UnstructuredJSONScheme},
		StreamSerializer: &runtime.StreamSerializerInfo{
			EncodesAsText: true,
			Serializer:    eventJSON{unstructured.UnstructuredJSONScheme},
			Framer:        eventFramer{},
		},
	}}
}

// EncoderForVersion implements runtime.NegotiatedSerializer.
func (negotiatedJSON) EncoderForVersion(encoder runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return encoder
}

// DecoderToVersion implements runtime.NegotiatedSerializer.
func (negotiatedJSON) DecoderToVersion(decoder runtime.Decoder, _ runtime.GroupVersioner) runtime.Decoder {
	return decoder
}

// objectJSON decodes objects, statuses and lists in one pass.
type objectJSON struct{ runtime.Serializer }

// Decode implements runtime.Decoder.
func (s objectJSON) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	list, isList := into.(*unstructured.UnstructuredList)
	if into != nil && !isList {
		return s.Serializer.Decode(data, defaults, into)
	}
	var content map[string]any
	if err := utiljson.Unmarshal(data, &content); err != nil {
		return nil, nil, err
	}
	o := &unstructured.Unstructured{Object: content}
	gvk := o.GroupVersionKind()
	switch {
	case gvk.Kind == "":
		return nil, &gvk, runtime.NewMissingKindErr(string(data))
	case gvk == metav1.SchemeGroupVersion.WithKind("Status"), gvk == schema.GroupVersionKind{Version: "v1", Kind: "Status"}:
		status := &metav1.Status{}
		return status, &gvk, utiljson.Unmarshal(data, status)
	case isList:
		return list, &gvk, setList(list, content)
	}
	return o, &gvk, nil
}

// setList makes list what content says.
func setList(list *unstructured.UnstructuredList, content map[string]any) error {
	items, ok := content["items"].([]any)
	if !ok && content["items"] != nil {
		return errors.New("decode list: items is no list")
	}
	delete(content, "items")
	list.Object = content
	list.Items = make([]unstructured.Unstructured, len(items))
	apiVersion, kind := list.GetAPIVersion(), strings.TrimSuffix(list.GetKind(), "List")
	for i, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return errors.New("decode list: an item is no object")
		}
		o := &list.Items[i]
		o.Object = object
		if o.GetKind() == "" { // as in the lists of built-in resources
			o.SetKind(kind)
			o.SetAPIVersion(apiVersion)
		}
	}
	return nil
}

// eventJSON decodes the envelope of watch events, and leaves the objects in
// them alone.
type eventJSON struct{ runtime.Serializer }

// Decode implements runtime.Decoder.
func (s eventJSON) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	event, ok := into.(*metav1.WatchEvent)
	if !ok {
		return s.Serializer.Decode(data, defaults, into)
	}
	if kind, object, ok := cutEvent(data); ok {
		event.Type, event.Object.Raw = kind, object
		return event, nil, nil
	}
	return event, nil, utiljson.Unmarshal(data, event)
}

var (
	eventStart  = []byte(`{"type":"`)
	eventMiddle = []byte(`","object":{`)
)

// cutEvent cuts an event as kube-apiserver writes it. The object may still be
// no JSON.
func cutEvent(data []byte) (kind string, object []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, eventStart)
	if !ok || !bytes.HasSuffix(rest, []byte("}}")) {
		return "", nil, false
	}
	at := bytes.IndexByte(rest, '"')
	if at < 0 || !bytes.HasPrefix(rest[at:], eventMiddle) {
		return "", nil, false
	}
	return string(rest[:at]), rest[at+len(eventMiddle)-1 : len(rest)-1], true
}

// eventFramer cuts a stream into events: each is a line, as kube-apiserver
// writes them, or else as many lines as make JSON.
type eventFramer struct{}

// NewFrameReader implements runtime.Framer.
func (eventFramer) NewFrameReader(r io.ReadCloser) io.ReadCloser {
	return &eventReader{ReadCloser: r, lines: bufio.NewReaderSize(r, 64<<10)}
}

// NewFrameWriter implements runtime.Framer.
func (eventFramer) NewFrameWriter(w io.Writer) io.Writer { return w }

type eventReader struct {
	io.ReadCloser
	lines *bufio.Reader
	buf   []byte
	rest  []byte // of the event that was read in part
}

// Read reads one event, or the next part of one that data is too short for,
// with io.ErrShortBuffer.
func (r *eventReader) Read(data []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(data, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) > 0 {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

// next reads an event.
func (r *eventReader) next() error {
	r.buf = r.buf[:0]
	for {
		part, err := r.lines.ReadSlice('\n')
		r.buf = append(r.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (err != io.EOF || len(bytes.TrimSpace(r.buf)) == 0):
			return err
		}
		r.rest = bytes.TrimSpace(r.buf)
		_, _, whole := cutEvent(r.rest)
		if whole || len(r.rest) > 0 && json.Valid(r.rest) {
			return nil
		}
		if err != nil {
			return io.ErrUnexpectedEOF
		}
	}
}
