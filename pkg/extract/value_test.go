package extract

import (
	"fmt"
	"math"
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// values holds a value of every kind that objects have.
func values() map[string]any {
	return map[string]any{
		"int": int64(math.MaxInt64), "zero": int64(0), "negative": int64(-5),
		"half": 0.5, "million": 1e6, "huge": 1e30, "tiny": 1e-9, "two63": math.Ldexp(1, 63), "minusTwo63": -math.Ldexp(1, 63), "minusZero": math.Copysign(0, -1),
		"yes": true, "text": "a<b>&\"\u2028é", "empty": "", "invalid": "\xff", "nil": nil,
		"list": []any{int64(1), "a", nil, 1.5}, "emptyList": []any{},
		"map": map[string]any{"b": int64(2), "a": []any{map[string]any{"d": true, "c": nil}}}, "emptyMap": map[string]any{},
		"nan": math.NaN(), "inf": math.Inf(1), "memory": "512Mi", "time": "2026-11-02T12:00:00+02:00",
	}
}

func TestValuesOfEachType(t *testing.T) {
	const (
		str     = kollectv1alpha1.AttributeString
		integer = kollectv1alpha1.AttributeInteger
		number  = kollectv1alpha1.AttributeNumber
		boolean = kollectv1alpha1.AttributeBoolean
		object  = kollectv1alpha1.AttributeJSON
	)
	tests := []struct {
		cel      string
		declared kollectv1alpha1.AttributeType
		want     string // or the reason
	}{
		{"object.text", str, `"a\u003cb\u003e\u0026\"\u2028é"`},
		{"object.text", "", `"a\u003cb\u003e\u0026\"\u2028é"`},
		{"object.invalid", str, `"\ufffd"`},
		{"object.empty", str, `""`},
		{"object.int", str, `"9223372036854775807"`},
		{"object.half", str, `"0.5"`},
		{"object.million", str, `"1e+06"`},
		{"object.yes", str, `"true"`},
		{"object.nan", str, "WrongType"},
		{"object.list", str, "WrongType"},
		{"object.map", str, "WrongType"},
		{"type(object)", object, "WrongType"},
		{"dyn(type(object))", str, "WrongType"},
		{"object.nil", str, "NotFound"},
		{"null", str, "WrongType"},
		{"18446744073709551615u", str, `"18446744073709551615"`},
		{"quantity(object.memory)", str, `"512Mi"`},
		{`quantity("1.5").add(quantity("500m"))`, str, `"2"`},
		{"timestamp(object.time)", str, `"2026-11-02T10:00:00Z"`},
		{`timestamp("2026-11-02T10:00:00.25Z")`, str, `"2026-11-02T10:00:00.25Z"`},
		{`duration("90m")`, str, `"5400s"`},
		{`duration("1500ms")`, str, `"1.5s"`},
		{`b"\xff\x00"`, str, `"/wA="`},
		{`ip("::ffff")`, str, `"::ffff"`},
		{`cidr("10.0.0.0/8")`, str, `"10.0.0.0/8"`},
		{`url("https://a.b/c?d")`, str, `"https://a.b/c?d"`},
		{`semver("1.2.3-rc1")`, str, `"1.2.3-rc1"`},
		{"object.?text", str, `"a\u003cb\u003e\u0026\"\u2028é"`},
		{"object.?none", str, "NotFound"},
		{"optional.of(optional.of(1))", str, `"1"`},
		{"optional.none()", object, "NotFound"},

		{"object.int", integer, "9223372036854775807"},
		{"object.million", integer, "1000000"},
		{"object.minusTwo63", integer, "-9223372036854775808"},
		{"object.two63", integer, "WrongType"},
		{"object.huge", integer, "WrongType"},
		{"object.half", integer, "WrongType"},
		{"object.nan", integer, "WrongType"},
		{"object.minusZero", integer, "0"},
		{"object.text", integer, "WrongType"},
		{"object.yes", integer, "WrongType"},
		{"9223372036854775807u", integer, "9223372036854775807"},
		{"9223372036854775808u", integer, "WrongType"},
		{"object.nil", integer, "NotFound"},
		{`int("5")`, integer, "5"},

		{"object.int", number, "9223372036854775807"},
		{"object.half", number, "0.5"},
		{"object.million", number, "1000000"},
		{"object.huge", number, "1e+30"},
		{"object.tiny", number, "1e-9"},
		{"object.nan", number, "WrongType"},
		{"object.inf", number, "WrongType"},
		{"object.memory", number, "WrongType"},
		{`quantity(object.memory).asApproximateFloat()`, number, "536870912"},

		{"object.yes", boolean, "true"},
		{"object.zero", boolean, "WrongType"},
		{"object.empty", boolean, "WrongType"},
		{"has(object.none)", boolean, "false"},

		{"object.map", object, `{"a":[{"c":null,"d":true}],"b":2}`},
		{"object.list", object, `[1,"a",null,1.5]`},
		{"object.emptyMap", object, `{}`},
		{"object.emptyList", object, `[]`},
		{"object.int", object, "9223372036854775807"},
		{"object.text", object, `"a\u003cb\u003e\u0026\"\u2028é"`},
		{"object.nil", object, "NotFound"},
		{"[object.nil]", object, "[null]"},
		{"[object.nan]", object, "WrongType"},
		{"{'b': [object.map], 'a': quantity('1k')}", object, `{"a":"1k","b":[{"a":[{"c":null,"d":true}],"b":2}]}`},
		{"{2: 'a', 10: 'b', true: 'c', 3u: 'd'}", object, `{"10":"b","2":"a","3":"d","true":"c"}`},
		{"{'1': 'a', 1: 'b'}", object, "WrongType"},
		{"{1.5: 'a'}", object, "WrongType"},
		{"{object.list: 'a'}", object, "WrongType"},
		{"{dyn([1]): 'a'}", object, "WrongType"},
		{`[{"name": object.memory, "main": true}, {"name": "x", "at": [1, "a", {1: 2.5}]}]`, object,
			`[{"main":true,"name":"512Mi"},{"at":[1,"a",{"1":2.5}],"name":"x"}]`},
		{"[object.text, 1 + true]", object, "InvalidExpression"},
		{"[optional.none(), optional.of(1)]", object, `[null,1]`},
		{"[?object.?none, ?object.?zero]", object, `[0]`},
		{`url("https://a/?b=1&a=2&b=3").getQuery()`, object, `{"a":["2"],"b":["1","3"]}`},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s as %s", test.cel, test.declared), func(t *testing.T) {
			got, err := extractOne(t, celAttribute(test.cel, test.declared), values())
			if err != nil {
				got = string(err.Reason)
			}
			if got != test.want {
				t.Errorf("got %s, want %s (%v)", got, test.want, err)
			}
		})
	}
}

func TestMessagesSayTypesAndTheMend(t *testing.T) {
	tests := []struct{ cel, declared, want string }{
		{"object.list", "string", "the value is a list, not of type string; select a part of it, or declare type: json"},
		{"object.text", "integer", "the value is a string, not of type integer; convert it, as with int(...) or double(...) in CEL, or declare type: string"},
		{"object.half", "boolean", "the value is a number, not of type boolean; change the expression or the type"},
		{"object.nan", "number", "the value is not a finite number, not of type number; change the expression or the type"},
		{"object.text.none.x", "json", "the object has no such field or index (line 1, column 17); use .?field, has(), or optional: true"},
		{"object.list\n  .none", "json", "a value in the object is not of the type that the expression needs (line 2, column 3); test it with type()"},
	}
	for _, test := range tests {
		_, err := extractOne(t, celAttribute(test.cel, kollectv1alpha1.AttributeType(test.declared)), values())
		if err == nil || err.Message != "spec.attributes[a].cel: "+test.want {
			t.Errorf("%s: got %v, want %s", test.cel, err, test.want)
		}
	}
}

func TestTheSizeAndDepthOfAValueAreLimited(t *testing.T) {
	nested := func(depth int) any {
		var v any = "x"
		for range depth {
			v = []any{v}
		}
		return v
	}
	items := func(n int) any {
		list := make([]any, n)
		for i := range list {
			list[i] = map[string]any{"k": "v"}
		}
		return list
	}
	tests := map[string]struct {
		value    any
		declared kollectv1alpha1.AttributeType
		ok       bool
	}{
		"longest string":         {strings.Repeat("a", MaxAttributeBytes-2), "string", true},
		"too long string":        {strings.Repeat("a", MaxAttributeBytes-1), "string", false},
		"too long when escaped":  {strings.Repeat("<", MaxAttributeBytes/6+1), "string", false},
		"longest JSON string":    {strings.Repeat("a", MaxAttributeBytes-2), "json", true},
		"too long JSON string":   {strings.Repeat("a", MaxAttributeBytes-1), "json", false},
		"too long JSON escapes":  {strings.Repeat("<", MaxAttributeBytes/6+1), "json", false},
		"long list":              {items(MaxAttributeBytes/10 - 1), "json", true},
		"too long list":          {items(MaxAttributeBytes/10 + 1), "json", false},
		"deepest list":           {nested(MaxAttributeDepth), "json", true},
		"too deep list":          {nested(MaxAttributeDepth + 1), "json", false},
		"too deep by far":        {nested(100_000), "json", false},
		"too long key of a map":  {map[string]any{strings.Repeat("a", MaxAttributeBytes): ""}, "json", false},
		"too long text of bytes": {strings.Repeat("a", MaxAttributeBytes), "json", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			object := map[string]any{"value": test.value, "other": "x"}
			for _, a := range []kollectv1alpha1.Attribute{
				celAttribute("object.value", test.declared),
				celAttribute("[object.value][0]", test.declared),
				pathAttribute("{.value}", test.declared),
			} {
				got, err := extractOne(t, a, object)
				switch {
				case test.ok && err != nil:
					t.Errorf("%s%s: %v", a.CEL, a.JSONPath, err)
				case !test.ok && (err == nil || err.Reason != TooLarge):
					t.Errorf("%s%s: got %d bytes, %v, want %s", a.CEL, a.JSONPath, len(got), err, TooLarge)
				}
			}
		})
	}
}
