package collect

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"kollect.io/kollect/pkg/extract"
)

// maxExamples bounds how many objects a failure remembers by name.
const maxExamples = 4

// Failure is an attribute that some objects of a target have no value of.
type Failure struct {
	// Attribute is empty for the target's match.
	Attribute string
	Reason    extract.Reason
	Message   string
	// Objects is how many fail now.
	Objects int
	// Namespace and Name are of one of them; they are empty when the ones that
	// were remembered are mended.
	Namespace, Name string
}

// tally counts the failures of a target's objects.
type tally struct {
	// objects says which attributes fail, by index. The lock of the resource
	// guards it.
	objects map[*record]uint64

	mu         sync.Mutex
	attributes []*attributeTally
}

type attributeTally struct {
	Failure
	examples []example
}

type example struct {
	record          *record
	namespace, name string
	reason          extract.Reason
	message         string
}

func newTally() *tally { return &tally{objects: map[*record]uint64{}} }

// set says which failures the object of rec has. It reports whether that is
// something else than before.
func (t *tally) set(rec *record, ex *extracted, failures []extract.AttributeError) bool {
	if len(failures) == 0 {
		return t.clear(rec)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before, after, news := t.objects[rec], uint64(0), false
	for i := range failures {
		at := t.index(&failures[i])
		after |= 1 << at
		e := example{rec, ex.namespace, ex.name, failures[i].Reason, failures[i].Message}
		if before&(1<<at) == 0 {
			t.attributes[at].add(e)
		} else if t.attributes[at].refresh(e) {
			news = true
		}
	}
	t.drop(rec, before&^after)
	t.objects[rec] = after
	return news || before != after
}

// clear forgets the object of rec. It reports whether it had failures.
func (t *tally) clear(rec *record) bool {
	before := t.objects[rec]
	if before == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(rec, before)
	delete(t.objects, rec)
	return true
}

func (t *tally) drop(rec *record, attributes uint64) {
	for i, a := range t.attributes {
		if attributes&(1<<i) != 0 {
			a.Objects--
			a.examples = slices.DeleteFunc(a.examples, func(e example) bool { return e.record == rec })
		}
	}
}

// index returns the attribute's place in attributes. A profile has at most 64
// attributes; should there be more failing, the last ones share a place.
func (t *tally) index(failure *extract.AttributeError) int {
	for i, a := range t.attributes {
		if a.Attribute == failure.Attribute {
			return i
		}
	}
	if len(t.attributes) < 64 {
		t.attributes = append(t.attributes, &attributeTally{Failure: Failure{Attribute: failure.Attribute}})
	}
	return len(t.attributes) - 1
}

func (a *attributeTally) add(e example) {
	a.Objects++
	if len(a.examples) == 0 {
		a.Reason, a.Message = e.reason, e.message
	}
	if len(a.examples) < maxExamples {
		a.examples = append(a.examples, e)
	}
}

// refresh makes an example what its object fails with now. It reports whether
// that is something else than before.
func (a *attributeTally) refresh(e example) bool {
	i := slices.IndexFunc(a.examples, func(old example) bool { return old.record == e.record })
	if i < 0 || a.examples[i] == e {
		return false
	}
	a.examples[i], a.Reason, a.Message = e, e.reason, e.message
	return true
}

// failures returns what fails now, in the order of the attributes' names, with
// the first by name of the objects that are remembered.
func (t *tally) failures() []Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	var failures []Failure
	for _, a := range t.attributes {
		if a.Objects == 0 {
			continue
		}
		f := a.Failure
		if len(a.examples) > 0 {
			e := slices.MinFunc(a.examples, func(a, b example) int {
				return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
			})
			f.Reason, f.Message, f.Namespace, f.Name = e.reason, e.message, e.namespace, e.name
		}
		failures = append(failures, f)
	}
	slices.SortFunc(failures, func(a, b Failure) int { return cmp.Compare(a.Attribute, b.Attribute) })
	return failures
}

// matchFailure makes a failure of a match's error.
func matchFailure(err error) []extract.AttributeError {
	failure := extract.AttributeError{Reason: extract.EvaluationFailed, Message: err.Error()}
	var match *extract.MatchError
	if errors.As(err, &match) {
		failure.Reason = match.Reason
	}
	return []extract.AttributeError{failure}
}
