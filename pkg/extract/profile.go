package extract

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// Profile is a compiled list of attributes. It never changes and is safe for
// concurrent use.
type Profile struct {
	attributes []attribute // by name
	columns    []inventory.Column
}

// attribute is one compiled attribute.
type attribute struct {
	name     string
	key      string // the encoded name and a colon
	field    string // of the profile, for messages
	declared kollectv1alpha1.AttributeType
	optional bool
	source   source
}

// source is a compiled expression of either language.
type source interface {
	// run returns what the object has: a value of an unstructured object or of
	// CEL, or results. It is safe for concurrent use.
	run(object map[string]any) (any, *failure)
}

// Compile compiles each attribute. One that can not be compiled is reported, by
// its name and the field to correct, and left out; the others work.
func Compile(attributes []kollectv1alpha1.Attribute) (*Profile, []AttributeError) {
	p := &Profile{}
	var errs []AttributeError
	seen := make(map[string]bool, len(attributes))
	for i := range attributes {
		spec := &attributes[i]
		if seen[spec.Name] {
			errs = append(errs, AttributeError{
				Attribute: spec.Name,
				Reason:    InvalidExpression,
				Message:   clip(fmt.Sprintf("spec.attributes[%s].name: there is another attribute of this name; rename one", spec.Name), maxMessage),
			})
			continue
		}
		seen[spec.Name] = true
		if column, ok := columnOf(spec); ok {
			p.columns = append(p.columns, column)
		}
		compiled, field, fail := compileAttribute(spec)
		if fail != nil {
			errs = append(errs, AttributeError{Attribute: spec.Name, Reason: fail.reason, Message: fail.message(field)})
			continue
		}
		p.attributes = append(p.attributes, compiled)
	}
	slices.SortFunc(p.attributes, func(a, b attribute) int { return cmp.Compare(a.name, b.name) })
	return p, errs
}

// columnOf returns the column of a promoted attribute.
func columnOf(spec *kollectv1alpha1.Attribute) (column inventory.Column, ok bool) {
	column.Name = spec.Name
	switch spec.Type {
	case "", kollectv1alpha1.AttributeString:
		column.Type = inventory.ColumnString
	case kollectv1alpha1.AttributeInteger:
		column.Type = inventory.ColumnInteger
	case kollectv1alpha1.AttributeNumber:
		column.Type = inventory.ColumnNumber
	case kollectv1alpha1.AttributeBoolean:
		column.Type = inventory.ColumnBoolean
	}
	return column, spec.Promoted && column.Type != ""
}

// compileAttribute compiles spec; a failure is of the returned field.
func compileAttribute(spec *kollectv1alpha1.Attribute) (a attribute, field string, fail *failure) {
	prefix := "spec.attributes[" + spec.Name + "]"
	a = attribute{
		name:     spec.Name,
		key:      string(inventory.AppendJSONString(nil, spec.Name)) + ":",
		declared: cmp.Or(spec.Type, kollectv1alpha1.AttributeString),
		optional: spec.Optional,
	}
	switch {
	case spec.Name == "":
		return a, prefix + ".name", failf(InvalidExpression, "is required; name the attribute")
	case !slices.Contains(attributeTypes, a.declared):
		return a, prefix + ".type", failf(InvalidExpression, "%q is unknown; use one of %v", spec.Type, attributeTypes)
	case spec.Promoted && a.declared == kollectv1alpha1.AttributeJSON:
		return a, prefix + ".promoted", failf(InvalidExpression, "needs a scalar type: string, integer, number or boolean")
	case (spec.CEL == "") == (spec.JSONPath == ""):
		return a, prefix, failf(InvalidExpression, "give exactly one of cel and jsonPath")
	case spec.CEL != "":
		a.field = prefix + ".cel"
		a.source, fail = compileTyped(spec.CEL, a.declared, a.optional)
	default:
		a.field = prefix + ".jsonPath"
		// A nil *jsonPath beside a failure is never run.
		a.source, fail = compileJSONPath(spec.JSONPath)
	}
	return a, a.field, fail
}

var attributeTypes = []kollectv1alpha1.AttributeType{
	kollectv1alpha1.AttributeString,
	kollectv1alpha1.AttributeInteger,
	kollectv1alpha1.AttributeNumber,
	kollectv1alpha1.AttributeBoolean,
	kollectv1alpha1.AttributeJSON,
}

// compileTyped compiles a CEL expression and refuses one that can never return
// the declared type.
func compileTyped(expression string, declared kollectv1alpha1.AttributeType, quiet bool) (source, *failure) {
	c, fail := compileCEL(expression)
	if fail != nil {
		return nil, fail
	}
	c.quiet = quiet
	output := c.output
	if isOptional(output) {
		output = output.Parameters()[0]
	}
	if !mayBe(output, declared) {
		return nil, failf(WrongType, "the expression returns %s, which can not be of type %s; change the expression or the type", output, declared)
	}
	return c, nil
}

func isOptional(t *cel.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type" && len(t.Parameters()) == 1
}

// mayBe says whether a value of the CEL type can be of the declared type.
func mayBe(t *cel.Type, declared kollectv1alpha1.AttributeType) bool {
	switch t.Kind() {
	case types.TypeKind, types.NullTypeKind:
		return false
	case types.IntKind, types.UintKind, types.DoubleKind:
		return declared != kollectv1alpha1.AttributeBoolean
	case types.BoolKind:
		return declared != kollectv1alpha1.AttributeInteger && declared != kollectv1alpha1.AttributeNumber
	case types.ListKind, types.MapKind:
		return declared == kollectv1alpha1.AttributeJSON
	case types.StringKind, types.BytesKind, types.TimestampKind, types.DurationKind, types.StructKind:
		return declared == kollectv1alpha1.AttributeString || declared == kollectv1alpha1.AttributeJSON
	}
	return true // known only when it runs
}

// Columns are the promoted attributes in the order of the profile, those that
// do not compile included, so that a correction does not change the columns.
// The caller must not change them.
func (p *Profile) Columns() []inventory.Column { return p.columns }

// Attributes appends the attributes of the object as a JSON object with sorted
// keys and no space between tokens, and returns an error for each attribute
// that has no value, unless it is optional and the object lacks it. The object
// must not change meanwhile; nothing of it is kept.
func (p *Profile) Attributes(buf []byte, object map[string]any) ([]byte, []AttributeError) {
	var errs []AttributeError
	buf = append(buf, '{')
	start := len(buf)
	for i := range p.attributes {
		a := &p.attributes[i]
		before := len(buf)
		if before > start {
			buf = append(buf, ',')
		}
		buf = append(buf, a.key...)
		encoded, fail := a.append(buf, object)
		if fail == nil {
			buf = encoded
			continue
		}
		buf = buf[:before]
		if !a.optional || fail.reason != NotFound {
			errs = append(errs, AttributeError{Attribute: a.name, Reason: fail.reason, Message: fail.message(a.field)})
		}
	}
	return append(buf, '}'), errs
}

// append appends the attribute's value. Whatever panics in the libraries below
// is a failure of this attribute alone.
func (a *attribute) append(buf []byte, object map[string]any) (out []byte, fail *failure) {
	defer func() {
		if recover() != nil { // its text may hold values
			fail = errPanic
		}
	}()
	v, fail := a.source.run(object)
	if fail != nil {
		return nil, fail
	}
	if many, ok := v.(results); ok {
		return appendResults(buf, many, a.declared)
	}
	v = scalar(v)
	if v == nil {
		return nil, errAbsent
	}
	return appendValue(buf, v, a.declared)
}

// errAbsent is a value that is null or an empty optional.
var errAbsent = failf(NotFound, "the value is null or empty; set optional: true, or give another with orValue()")

// appendResults appends the values of an expression that may select several: as
// a list for type json, however many there are; for type string joined by
// spaces, as kubectl prints them. Null is no value, except in a list.
func appendResults(buf []byte, values results, declared kollectv1alpha1.AttributeType) ([]byte, *failure) {
	if declared == kollectv1alpha1.AttributeJSON {
		return appendValue(buf, []any(values), declared)
	}
	present := slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == nil })
	switch {
	case len(present) == 0:
		return nil, errAbsent
	case len(present) == 1:
		return appendValue(buf, scalar(present[0]), declared)
	case declared != kollectv1alpha1.AttributeString:
		return nil, failf(WrongType, "the expression selects %d values; select one, or declare type: json", len(present))
	}
	var text []byte
	for i, v := range present {
		if i > 0 {
			text = append(text, ' ')
		}
		switch v := scalar(v).(type) {
		case string:
			text = append(text, v...)
		case bool, int64, float64:
			text = appendText(text, v)
		default:
			return nil, mismatch(v, declared)
		}
		if len(text) > MaxAttributeBytes {
			return nil, errTooLarge
		}
	}
	return appendString(buf, string(text))
}
