package v1alpha1

import "errors"

// Value is any JSON value: a string, number, boolean, list or object of any
// depth.
type Value struct {
	// Raw is the value's JSON encoding.
	Raw []byte `json:"-"`
}

// OpenAPISchemaType leaves the type open: a value may be of any.
func (Value) OpenAPISchemaType() []string { return nil }

// OpenAPISchemaFormat leaves the format open.
func (Value) OpenAPISchemaFormat() string { return "" }

// MarshalJSON returns the value as it is; without one, null.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v.Raw) == 0 {
		return []byte("null"), nil
	}
	return v.Raw, nil
}

// UnmarshalJSON keeps a copy of the value.
func (v *Value) UnmarshalJSON(data []byte) error {
	if v == nil {
		return errors.New("unmarshal attribute value into nil")
	}
	v.Raw = append(v.Raw[:0], data...)
	return nil
}
