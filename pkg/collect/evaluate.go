package collect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

// extracted is what is kept of an object: its rows.
type extracted struct {
	object
	uid    string
	number uint64 // of the version; 0 if that is no number
	// sequence is the resource's when it was decided which specs select the
	// object.
	sequence uint64
	found    []found // by the order of the members
}

// DeepCopyObject returns the object itself, which never changes.
func (e *extracted) DeepCopyObject() runtime.Object { return e }

// found is what a spec that selects an object made of it.
type found struct {
	spec *spec
	// row is nil when it is not known, because of a failure: then the one that
	// the object had stays.
	row      *inventory.Row
	failures []extract.AttributeError
}

// evaluator makes rows of the objects of a resource. It is used by one
// goroutine at a time.
type evaluator struct {
	resource *resource
	only     map[*spec]bool // unless nil, the specs that are asked

	namespaces map[string]string // that rows share
	labels     map[string]string
	specs      []*spec
	buf        []byte
}

func (r *resource) newEvaluator() *evaluator {
	return &evaluator{resource: r, namespaces: map[string]string{}, labels: map[string]string{}}
}

// convert implements converter.
func (e *evaluator) convert(o *unstructured.Unstructured) (runtime.Object, bool) {
	ex := e.evaluate(o)
	return ex, len(ex.found) > 0
}

// evaluate makes the rows of an object.
func (e *evaluator) evaluate(o *unstructured.Unstructured) *extracted {
	ex := &extracted{object: newObject(o)}
	ex.number = versionNumber(ex.version)
	metadata, _ := o.Object["metadata"].(map[string]any)
	ex.uid, _ = metadata["uid"].(string)
	clear(e.labels)
	set, _ := metadata["labels"].(map[string]any)
	for key, value := range set {
		if value, ok := value.(string); ok {
			e.labels[key] = value
		}
	}
	ex.namespace = e.namespace(ex.namespace)
	e.specs, ex.sequence = e.resource.route(e.specs[:0], ex.namespace, ex.name, e.labels)
	for _, s := range e.specs {
		if e.only != nil && !e.only[s] {
			continue
		}
		if f, ok := e.extract(s, ex, o.Object, metadata); ok {
			ex.found = append(ex.found, f)
		}
	}
	if len(ex.found) > 1 {
		slices.SortFunc(ex.found, func(a, b found) int { return cmp.Compare(a.spec.member.order, b.spec.member.order) })
	}
	clear(e.specs)
	return ex
}

// extract makes the spec's row of an object. It reports whether the spec
// selects the object. A panic is a failure of this object alone.
func (e *evaluator) extract(s *spec, ex *extracted, o, metadata map[string]any) (f found, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			f.failures = append(f.failures, extract.AttributeError{
				Reason:  extract.EvaluationFailed,
				Message: fmt.Sprintf("the extraction panicked (%T); this is a defect of the server", p),
			})
			ok = true
		}
	}()
	f.spec = s
	if s.match != nil {
		matches, err := s.match.Matches(o)
		if err != nil {
			f.failures = matchFailure(err)
			return f, true
		}
		if !matches {
			return f, false
		}
	}
	if ex.uid == "" {
		f.failures = []extract.AttributeError{{
			Reason:  extract.NotFound,
			Message: "the object has no metadata.uid, which tells rows apart: the API server of its group must set it",
		}}
		return f, true
	}
	content := inventory.RowContent{
		Resource:  e.resource.info,
		Target:    s.member.ref,
		Namespace: ex.namespace,
		Name:      ex.name,
		UID:       ex.uid,
		Labels:    e.labels,
	}
	if created, _ := metadata["creationTimestamp"].(string); created != "" {
		content.Created, _ = time.Parse(time.RFC3339, created)
	}
	e.buf, f.failures = s.extract.Attributes(e.buf[:0], o)
	content.Attributes = e.buf
	f.row = inventory.NewRow(content)
	return f, true
}

// namespace returns the string that rows of the namespace share.
func (e *evaluator) namespace(name string) string {
	if name == "" {
		return ""
	}
	shared, ok := e.namespaces[name]
	if !ok {
		shared = e.resource.namespaceOf(name)
		if shared == "" {
			shared = strings.Clone(name)
		}
		e.namespaces[shared] = shared
	}
	return shared
}

// versionNumber returns a resource version as the number that it is, or 0.
// Versions of one resource are ordered as their numbers are (KEP-5504).
func versionNumber(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
