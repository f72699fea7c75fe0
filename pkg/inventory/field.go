package inventory

import (
	"encoding/json"
	"strings"
)

// Field names a part of rows by which they are selected.
type Field string

// The fields of all rows. Others are those of AttributeField.
const (
	FieldGroup     Field = "source.group"
	FieldKind      Field = "source.kind"
	FieldResource  Field = "source.resource"
	FieldNamespace Field = "source.namespace"
	FieldName      Field = "source.name"
	FieldUID       Field = "source.uid"
	// FieldTarget is namespace/name, or name of a target without a namespace.
	FieldTarget Field = "target"
)

// AttributeFields is what the names of attributes' fields start with.
const AttributeFields = "attributes."

// AttributeField returns the field of an attribute. Its values are strings as
// they are and others as their JSON text; there is none, which is empty, where a
// row lacks the attribute.
func AttributeField(name string) Field { return Field(AttributeFields + name) }

// Attribute returns the name of the attribute that the field is of.
func (f Field) Attribute() (name string, ok bool) {
	return strings.CutPrefix(string(f), AttributeFields)
}

// Requirement is what the value of a field must be, or, with Not, must not be.
type Requirement struct {
	Field Field
	Value string
	Not   bool
}

// Value returns the row's value of a field. It is empty if there is no such field.
func (r *Row) Value(f Field) string {
	switch f {
	case FieldGroup:
		return r.resource.Group
	case FieldKind:
		return r.resource.Kind
	case FieldResource:
		return r.resource.Resource
	case FieldNamespace:
		return r.namespace
	case FieldName:
		return r.Name()
	case FieldUID:
		return r.UID()
	case FieldTarget:
		return r.target.String()
	}
	if name, ok := f.Attribute(); ok {
		value, _ := Member(r.Attributes(), name)
		return Unquote(value)
	}
	return ""
}

// meets reports whether the row meets all requirements.
func (r *Row) meets(requirements []Requirement) bool {
	for i := range requirements {
		q := &requirements[i]
		var is bool
		if q.Field == FieldTarget { // whose text would have to be made
			is = r.target.is(q.Value)
		} else {
			is = r.Value(q.Field) == q.Value
		}
		if is == q.Not {
			return false
		}
	}
	return true
}

// is reports whether s is what String returns.
func (t *TargetRef) is(s string) bool {
	if t.Namespace == "" {
		return t.Name == s
	}
	rest, ok := strings.CutPrefix(s, t.Namespace)
	return ok && len(rest) > 0 && rest[0] == '/' && rest[1:] == t.Name
}

// Unquote returns the string that an encoded JSON value is, or else the value.
func Unquote(value string) string {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	var s string
	if json.Unmarshal([]byte(value), &s) != nil {
		return value
	}
	return s
}
