package extract

import (
	"slices"
	"strconv"
	"strings"
)

// path is a chain of field names and list indexes. Most expressions are one,
// and walking it directly costs a hundredth of evaluating the expression.
type path struct {
	steps []step
	// missing are the failures to find each of the steps.
	missing []*failure
}

// step is one selection: of the field, or if that is empty of the index.
type step struct {
	field string
	index int
}

// newPath returns the path of the given steps. They have no empty field and no
// negative index.
func newPath(steps []step) *path {
	p := &path{steps: slices.Clone(steps)}
	for i := range p.steps {
		p.missing = append(p.missing,
			failf(NotFound, "the object has no %s; test for it, or set optional: true", clip(stepsString(p.steps[:i+1]), 256)))
	}
	return p
}

// walk follows the path from object. fits is false where only the general
// evaluator of the path's language knows the answer.
func (p *path) walk(object map[string]any) (v any, fail *failure, fits bool) {
	v = object
	for i := range p.steps {
		s := &p.steps[i]
		switch container := v.(type) {
		case map[string]any:
			if s.field == "" {
				return nil, nil, false
			}
			next, ok := container[s.field]
			if !ok {
				return nil, p.missing[i], true
			}
			v = next
		case []any:
			if s.field != "" {
				return nil, nil, false
			}
			if s.index >= len(container) {
				return nil, p.missing[i], true
			}
			v = container[s.index]
		default:
			return nil, nil, false
		}
	}
	return v, nil, true
}

// stepsString writes the steps as kubectl would.
func stepsString(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		switch {
		case s.field == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case strings.ContainsAny(s.field, ".[]'\" "):
			b.WriteString("['" + s.field + "']")
		default:
			b.WriteString("." + s.field)
		}
	}
	return b.String()
}
