package extract

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

const (
	// MaxAttributeBytes is the largest encoded value of an attribute.
	MaxAttributeBytes = 64 << 10
	// MaxAttributeDepth is how deep lists and maps of an attribute may nest.
	MaxAttributeDepth = 100
)

// scalar returns v as nil, bool, int64, uint64, float64 or string if it is one,
// and otherwise unchanged. Bytes are base64; timestamps are RFC 3339 in UTC;
// durations are seconds, as CEL's string() writes them; the types of Kubernetes'
// libraries, such as quantity, are their text. An empty optional is nil.
func scalar(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case types.Null:
		return nil
	case types.Bool:
		return bool(v)
	case types.Int:
		return int64(v)
	case types.Uint:
		return uint64(v)
	case types.Double:
		return float64(v)
	case types.String:
		return string(v)
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v)
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano)
	case types.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64) + "s"
	case *types.Optional:
		if !v.HasValue() {
			return nil
		}
		return scalar(v.GetValue())
	case *types.Type:
		return v
	case *objectMap:
		return v.elems
	case *objectList:
		return v.elems
	case traits.Lister, traits.Mapper:
		return v
	case ref.Val:
		if text, ok := v.Value().(fmt.Stringer); ok {
			return text.String()
		}
	}
	return v
}

// appendValue appends v, which scalar returned and is not nil, as the declared
// type. It appends nothing usable when it fails.
func appendValue(buf []byte, v any, declared kollectv1alpha1.AttributeType) ([]byte, *failure) {
	switch declared {
	case kollectv1alpha1.AttributeInteger:
		if i, ok := integer(v); ok {
			return strconv.AppendInt(buf, i, 10), nil
		}
	case kollectv1alpha1.AttributeNumber:
		switch v := v.(type) {
		case int64, uint64:
			return appendText(buf, v), nil
		case float64:
			if finite(v) {
				return appendFloat(buf, v), nil
			}
		}
	case kollectv1alpha1.AttributeBoolean:
		if b, ok := v.(bool); ok {
			return strconv.AppendBool(buf, b), nil
		}
	case kollectv1alpha1.AttributeJSON:
		e := encoder{buf: buf, limit: len(buf) + MaxAttributeBytes}
		if fail := e.value(v, 0); fail != nil {
			return buf, fail
		}
		return e.buf, nil
	default:
		switch v := v.(type) {
		case string:
			return appendString(buf, v)
		case bool, int64, uint64:
			return append(appendText(append(buf, '"'), v), '"'), nil
		case float64:
			if finite(v) {
				return append(appendText(append(buf, '"'), v), '"'), nil
			}
		}
	}
	return buf, mismatch(v, declared)
}

func appendString(buf []byte, s string) ([]byte, *failure) {
	if len(s) > MaxAttributeBytes {
		return buf, errTooLarge
	}
	start := len(buf)
	buf = inventory.AppendJSONString(buf, s)
	if len(buf)-start > MaxAttributeBytes {
		return buf[:start], errTooLarge
	}
	return buf, nil
}

// appendText appends a scalar other than a string as kubectl prints it.
func appendText(buf []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(buf, v)
	case int64:
		return strconv.AppendInt(buf, v, 10)
	case uint64:
		return strconv.AppendUint(buf, v, 10)
	case float64:
		return strconv.AppendFloat(buf, v, 'g', -1, 64)
	}
	return buf
}

// appendFloat appends f as encoding/json does.
func appendFloat(buf []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	buf = strconv.AppendFloat(buf, f, format, -1, 64)
	if n := len(buf); format == 'e' && n >= 4 && buf[n-4] == 'e' && buf[n-3] == '-' && buf[n-2] == '0' {
		buf[n-2] = buf[n-1] // e-09 to e-9
		buf = buf[:n-1]
	}
	return buf
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// integer returns v as an int64 if that loses nothing.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		// 2^63 itself is a float64 and does not fit.
		if v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64 {
			return int64(v), true
		}
	}
	return 0, false
}

var (
	errTooLarge = failf(TooLarge, "the value is larger than %d bytes of JSON; select less of it", MaxAttributeBytes)
	errTooDeep  = failf(TooLarge, "the value nests deeper than %d lists and maps; select a part of it", MaxAttributeDepth)
)

// mismatch says that v is not of the declared type.
func mismatch(v any, declared kollectv1alpha1.AttributeType) *failure {
	if declared == "" {
		declared = kollectv1alpha1.AttributeString
	}
	kind := kindOf(v)
	mend := "change the expression or the type"
	switch kind {
	case "a list", "a map":
		mend = "select a part of it, or declare type: json"
	case "a string":
		mend = "convert it, as with int(...) or double(...) in CEL, or declare type: string"
	}
	return failf(WrongType, "the value is %s, not of type %s; %s", kind, declared, mend)
}

// kindOf names the type of v, which scalar returned, without its value.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int64, uint64:
		if _, ok := integer(v); !ok {
			return "an integer beyond 64 signed bits"
		}
		return "an integer"
	case float64:
		if !finite(v) {
			return "not a finite number"
		}
		return "a number"
	case string:
		return "a string"
	case []any, traits.Lister:
		return "a list"
	case map[string]any, traits.Mapper:
		return "a map"
	case *types.Type:
		return "a type"
	}
	return "of an unknown type"
}
