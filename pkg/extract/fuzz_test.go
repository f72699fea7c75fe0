package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/jsonpath"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

var fieldNames = []string{"a", "b", "c", "d", "x-y", "z.w"}

// randomValue is a value of an unstructured object.
func randomValue(r *rand.Rand, depth int) any {
	kind := r.IntN(9)
	if depth == 0 {
		kind = r.IntN(6)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.IntN(5) - 2)
	case 3:
		return float64(r.IntN(5)) / 2
	case 4, 5:
		return fieldNames[r.IntN(len(fieldNames))]
	case 6:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = randomValue(r, depth-1)
		}
		return list
	}
	return randomObject(r, depth-1)
}

func randomObject(r *rand.Rand, depth int) map[string]any {
	object := map[string]any{}
	for _, name := range fieldNames {
		if r.IntN(3) > 0 {
			object[name] = randomValue(r, depth)
		}
	}
	return object
}

// randomPath is a plain path as CEL and as JSONPath.
func randomPath(r *rand.Rand) (celText, pathText string) {
	celText, pathText = "object", "{"
	for range 1 + r.IntN(4) {
		name := fieldNames[r.IntN(len(fieldNames))]
		switch plain := !strings.ContainsAny(name, "-."); {
		case r.IntN(3) == 0:
			i := r.IntN(3)
			celText += fmt.Sprintf("[%d]", i)
			pathText += fmt.Sprintf("[%d]", i)
		case plain && r.IntN(2) == 0:
			celText += "." + name
			pathText += "." + name
		default:
			celText += fmt.Sprintf("[%q]", name)
			pathText += fmt.Sprintf("['%s']", strings.ReplaceAll(name, ".", `\.`))
		}
	}
	return celText, pathText + "}"
}

// answer is a value as JSON, or the reason why there is none.
func answer(v any, fail *failure) string {
	if fail == nil {
		if many, ok := v.(results); ok {
			v = []any(many)
		}
		var encoded []byte
		if encoded, fail = appendValue(nil, scalar(v), kollectv1alpha1.AttributeJSON); fail == nil {
			return string(encoded)
		}
	}
	return string(fail.reason)
}

func comparePathWithGeneral(t *testing.T, object map[string]any, celText, pathText string) {
	t.Helper()
	c, fail := compileCEL(celText)
	if fail != nil {
		t.Fatalf("%s: %s", celText, fail.detail)
	}
	if c.path == nil {
		t.Fatalf("%s is not walked", celText)
	}
	if got, want := answer(c.run(object)), answer(c.evaluate(object)); got != want {
		t.Errorf("%s of %v: walked %s, evaluated %s", celText, object, got, want)
	}
	if kubernetes, _ := kubernetesResult(t, celText, object); (kubernetes == "error") != (answer(c.run(object)) == "null" || isReason(answer(c.run(object)))) {
		t.Errorf("%s of %v: walked %s, Kubernetes %s", celText, object, answer(c.run(object)), kubernetes)
	}
	j, fail := compileJSONPath(pathText)
	if fail != nil {
		t.Fatalf("%s: %s", pathText, fail.detail)
	}
	if j.path == nil {
		t.Fatalf("%s is not walked", pathText)
	}
	if got, want := answer(j.run(object)), answer(j.evaluate(object)); got != want {
		t.Errorf("%s of %v: walked %s, evaluated %s", pathText, object, got, want)
	}
}

func isReason(s string) bool {
	return slices.Contains([]string{string(NotFound), string(WrongType), string(CostExceeded), string(TooLarge), string(EvaluationFailed)}, s)
}

// FuzzPathMatchesGeneral: walking a plain path gives what evaluating it gives,
// in both languages, the reasons of failures included.
func FuzzPathMatchesGeneral(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		object := randomObject(r, 3)
		for range 5 {
			celText, pathText := randomPath(r)
			comparePathWithGeneral(t, object, celText, pathText)
		}
	})
}

func TestOnlyPlainPathsAreWalked(t *testing.T) {
	for expression, want := range map[string]string{
		`object.a.b[0].c`:              ".a.b[0].c",
		`object.a["x.y/z"]`:            ".a['x.y/z']",
		`object["a"][3]`:               ".a[3]",
		`object.a[0][1]`:               ".a[0][1]",
		`object`:                       "",
		`object.a[-1]`:                 "",
		`object.a[1u]`:                 "",
		`object.a[1.0]`:                "",
		`object.a[""]`:                 "",
		`object.a[true]`:               "",
		`object.a[object.b]`:           "",
		`object.?a.b`:                  "",
		`object.a[?0]`:                 "",
		`has(object.a)`:                "",
		`object.a + object.b`:          "",
		`{"object": 1}.object`:         "",
		`[1].map(object, object)[0]`:   "",
		`object.a.map(x, x.b.c)`:       "",
		`(object.a).b`:                 ".a.b",
		`object.a.exists(b, b.c == 1)`: "",
	} {
		c, fail := compileCEL(expression)
		if fail != nil {
			t.Fatalf("%s: %s", expression, fail.detail)
		}
		got := ""
		if c.path != nil {
			got = stepsString(c.path.steps)
		}
		if got != want {
			t.Errorf("%s: walks %q, want %q", expression, got, want)
		}
	}
}

// FuzzCEL: no expression panics, and what it makes is canonical, bounded, and
// the same each time.
func FuzzCEL(f *testing.F) {
	for _, expression := range celExpressions {
		f.Add(expression)
	}
	for _, expression := range []string{"", "object.", "1 +", "\xff", `object.a[`, `""" """`, "{{{{", `object.map(object, object)`} {
		f.Add(expression)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		checkAttributes(t, kollectv1alpha1.Attribute{CEL: expression})
		if _, err := CompileMatch(expression); err != nil {
			var failed *MatchError
			if !errors.As(err, &failed) || failed.Reason == "" {
				t.Errorf("%s: %v", expression, err)
			}
		}
	})
}

// checkAttributes extracts the attribute as every type.
func checkAttributes(t *testing.T, attribute kollectv1alpha1.Attribute) {
	var attributes []kollectv1alpha1.Attribute
	for _, declared := range attributeTypes {
		attribute.Name, attribute.Type = string(declared), declared
		attributes = append(attributes, attribute)
	}
	object := deployment()
	profile, compileErrs := Compile(attributes)
	encoded, errs := profile.Attributes(nil, object)
	var values map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &values); err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	if len(values)+len(errs)+len(compileErrs) != len(attributes) {
		t.Errorf("%d values and %d, %d errors of %d attributes", len(values), len(compileErrs), len(errs), len(attributes))
	}
	for _, err := range append(compileErrs, errs...) {
		if err.Reason == "" || len(err.Message) > maxMessage+3 || strings.Contains(err.Message, "\n") {
			t.Errorf("bad error %q", err.Message)
		}
	}
	for name, value := range values {
		if len(value) > MaxAttributeBytes {
			t.Errorf("%s has %d bytes", name, len(value))
		}
	}
	again, _ := profile.Attributes(nil, object)
	if string(again) != string(encoded) {
		t.Errorf("once %s, then %s", encoded, again)
	}
	if !reflect.DeepEqual(object, deployment()) {
		t.Error("the object changed")
	}
}

var jsonPathSeeds = []string{
	"{.a}", "{.a.b[0].c}", "{.a[*].b}", "{.a[0:2]}", "{.a[-1]}", "{.a[0,1]}", "{.a['b','c']}", "{..a}", "{.a..b}", "{.*}", "{..*}", "{..}", "{@}", "{$}",
	`{.a[?(@.b=="c")].d}`, `{.a[?(@.b>1)]}`, `{.a[?(@.b)]}`, `{.a[?(@.b==true)]}`, `{.a[?(@.b<=1.5)]}`, `{.a[?(@.b!=@.c)]}`, `{.a[?(@[0])]}`,
	`{.a[?(@=="b")]}`, "{.x-y}", "{['z\\.w']}", "{.a[]}", "{.a[1:]}", "{.a[:1]}", "{.a[::2]}", "{.a[-2:-1]}", "{.a[5]}", "{.b.*}", "{.c..}",
	"a.b", ".a", "", "{", "{}", "{.}", "{.a", "{[?(", `{"x"}`, "{1}", "{true}", "{range .a}", "{.a}{.b}", "x{.a}", "{.a[?(@.b==')]}", "{.a[0:1:0]}", "{.a[99999999999999999999]}",
	"{['a']}", "{.a[b]}", `{.a[?(@.b=='c')]}`, "{\\", "{.a[?(@..b)]}", "{.a[?(1==1)]}", `{.a[?("x"=="x")].b}`, "{.a[?(@.b=~1)]}", "{.a\\.b}", "{.\xff}", "{.a[0]['b']..c[*]}",
}

// FuzzJSONPath: no expression panics, and the results are those of client-go.
func FuzzJSONPath(f *testing.F) {
	for i, expression := range jsonPathSeeds {
		for seed := range uint64(8) {
			f.Add(expression, seed*100+uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, expression string, seed uint64) {
		checkAttributes(t, kollectv1alpha1.Attribute{JSONPath: expression})
		j, fail := compileJSONPath(expression)
		if fail != nil {
			return
		}
		object := randomObject(rand.New(rand.NewPCG(seed, 0)), 3)
		v, fail := j.evaluate(object)
		if fail != nil && fail.reason == CostExceeded {
			return
		}
		want, err, comparable := clientGoResults(expression, object)
		switch {
		case !comparable:
		case fail != nil && fail.reason != NotFound:
			if err == nil {
				t.Errorf("%s of %v: got %s, client-go %v", expression, object, fail.reason, want)
			}
		case err != nil:
			// A list without the index is NotFound here, and so is a filter of null.
			if fail == nil && !strings.Contains(err.Error(), "cannot be filtered") {
				t.Errorf("%s of %v: got %v, client-go's error %v", expression, object, v, err)
			}
		default:
			var got []any
			switch v := v.(type) {
			case results:
				got = v
			default:
				if fail == nil {
					got = []any{v}
				}
			}
			if a, b := sortedJSON(got), sortedJSON(want); !slices.Equal(a, b) {
				t.Errorf("%s of %v: got %v, client-go %v", expression, object, a, b)
			}
		}
	})
}

// clientGoResults are the results of client-go's evaluator. They do not compare
// where it panics, or returns the bytes of strings.
func clientGoResults(expression string, object map[string]any) (found []any, err error, comparable bool) {
	defer func() {
		if recover() != nil {
			comparable = false
		}
	}()
	path := jsonpath.New("test").AllowMissingKeys(true)
	if err := path.Parse(expression); err != nil {
		return nil, err, true
	}
	all, err := path.FindResults(object)
	if err != nil {
		return nil, err, true
	}
	for _, values := range all {
		for _, v := range values {
			var value any
			if v.IsValid() && v.CanInterface() {
				value = v.Interface()
			}
			if _, isByte := value.(uint8); isByte {
				return nil, nil, false
			}
			found = append(found, value)
		}
	}
	return found, nil, true
}

// sortedJSON encodes each value, in an order that does not depend on theirs.
func sortedJSON(values []any) []string {
	var encoded []string
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte(err.Error())
		}
		encoded = append(encoded, string(text))
	}
	slices.Sort(encoded)
	return encoded
}
