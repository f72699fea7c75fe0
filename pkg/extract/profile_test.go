package extract

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// deployment is an object as the unstructured decoder makes it.
func deployment() map[string]any {
	return map[string]any{
		"apiVersion": "apps/v1",
		"kind":       "Deployment",
		"metadata": map[string]any{
			"name":              "shop",
			"namespace":         "team-a",
			"creationTimestamp": "2026-11-02T10:00:00Z",
			"labels": map[string]any{
				"tier":                      "web",
				"app.kubernetes.io/version": "1.27",
				"html":                      "<a&b>",
			},
			"annotations": nil,
			"generation":  int64(9007199254740993),
		},
		"spec": map[string]any{
			"replicas": int64(3),
			"paused":   false,
			"ratio":    0.25,
			"million":  1000000.0,
			"memory":   "512Mi",
			"empty":    "",
			"template": map[string]any{"spec": map[string]any{"containers": []any{
				map[string]any{"name": "web", "image": "nginx:1.27", "ports": []any{int64(80), int64(443)}},
				map[string]any{"name": "log", "image": "vector:0.40"},
			}}},
		},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Available", "status": "True"},
			map[string]any{"type": "Ready", "status": "False"},
		}},
	}
}

func celAttribute(expression string, declared kollectv1alpha1.AttributeType) kollectv1alpha1.Attribute {
	return kollectv1alpha1.Attribute{Name: "a", CEL: expression, Type: declared}
}

func pathAttribute(expression string, declared kollectv1alpha1.AttributeType) kollectv1alpha1.Attribute {
	return kollectv1alpha1.Attribute{Name: "a", JSONPath: expression, Type: declared}
}

// extractOne returns the encoded value of the attribute, or the reason why it
// has none.
func extractOne(t *testing.T, attribute kollectv1alpha1.Attribute, object map[string]any) (string, *AttributeError) {
	t.Helper()
	profile, errs := Compile([]kollectv1alpha1.Attribute{attribute})
	if len(errs) == 0 {
		var encoded []byte
		if encoded, errs = profile.Attributes(nil, object); len(errs) == 0 {
			value := strings.TrimSuffix(strings.TrimPrefix(string(encoded), `{"a":`), "}")
			if !json.Valid(encoded) {
				t.Fatalf("invalid JSON %s", encoded)
			}
			return value, nil
		}
	}
	if len(errs) != 1 {
		t.Fatalf("%d errors, want one: %v", len(errs), errs)
	}
	return "", &errs[0]
}

// exampleProfile is the profile of the documentation.
func exampleProfile() []kollectv1alpha1.Attribute {
	return []kollectv1alpha1.Attribute{
		{Name: "image", CEL: "object.spec.template.spec.containers[0].image", Promoted: true},
		{Name: "version", CEL: `object.metadata.labels["app.kubernetes.io/version"]`, Optional: true, Promoted: true},
		{Name: "replicas", JSONPath: "{.spec.replicas}", Type: "integer", Promoted: true},
		{Name: "images", CEL: `object.spec.template.spec.containers.map(c, {"name": c.name, "image": c.image})`, Type: "json"},
	}
}

func TestAttributesAreCanonical(t *testing.T) {
	profile, errs := Compile(exampleProfile())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	const want = `before{"image":"nginx:1.27","images":[{"image":"nginx:1.27","name":"web"},{"image":"vector:0.40","name":"log"}],"replicas":3,"version":"1.27"}`
	for range 20 {
		got, errs := profile.Attributes([]byte("before"), deployment())
		if string(got) != want || len(errs) > 0 {
			t.Fatalf("got %s %v, want %s", got, errs, want)
		}
	}
}

func TestColumnsAreThePromotedAttributesInOrder(t *testing.T) {
	attributes := exampleProfile()
	attributes[1].CEL = "no such ("
	profile, errs := Compile(attributes)
	if len(errs) != 1 {
		t.Errorf("%d errors, want one: %v", len(errs), errs)
	}
	want := []inventory.Column{
		{Name: "image", Type: inventory.ColumnString},
		{Name: "version", Type: inventory.ColumnString},
		{Name: "replicas", Type: inventory.ColumnInteger},
	}
	if diff := cmp.Diff(want, profile.Columns()); diff != "" {
		t.Error(diff)
	}
}

func TestABadAttributeIsReportedAndTheOthersWork(t *testing.T) {
	const good = "good"
	tests := map[string]struct {
		bad     kollectv1alpha1.Attribute
		reason  Reason
		message []string
	}{
		"syntax": {
			kollectv1alpha1.Attribute{CEL: "object.("}, InvalidExpression,
			[]string{"spec.attributes[bad].cel: line 1, column 8: ", "correct"},
		},
		"unknown variable": {
			kollectv1alpha1.Attribute{CEL: "self.name"}, InvalidExpression,
			[]string{"spec.attributes[bad].cel: ", "'self'"},
		},
		"message literal": {
			kollectv1alpha1.Attribute{CEL: "google.protobuf.Struct{}", Type: "json"}, InvalidExpression,
			[]string{"use a map"},
		},
		"constant of another type": {
			kollectv1alpha1.Attribute{CEL: "size(object.spec)", Type: "boolean"}, WrongType,
			[]string{"returns int", "type boolean"},
		},
		"quantity for an integer": {
			kollectv1alpha1.Attribute{CEL: `quantity("1Gi")`, Type: "integer"}, WrongType,
			[]string{"returns kubernetes.Quantity", "type integer"},
		},
		"invalid regular expression": {
			kollectv1alpha1.Attribute{CEL: `object.metadata.name.find("(")`}, InvalidExpression, []string{"regular expression"},
		},
		"large regular expression": {
			kollectv1alpha1.Attribute{CEL: `object.metadata.name.find("` + strings.Repeat("a{1000}", 20) + `")`}, InvalidExpression,
			[]string{"10000 states"},
		},
		"both languages": {
			kollectv1alpha1.Attribute{CEL: "object.a", JSONPath: "{.a}"}, InvalidExpression,
			[]string{"spec.attributes[bad]: give exactly one of cel and jsonPath"},
		},
		"no expression": {
			kollectv1alpha1.Attribute{}, InvalidExpression, []string{"exactly one of cel and jsonPath"},
		},
		"unknown type": {
			kollectv1alpha1.Attribute{CEL: "object.a", Type: "date"}, InvalidExpression,
			[]string{"spec.attributes[bad].type: \"date\"", "string integer number boolean json"},
		},
		"promoted json": {
			kollectv1alpha1.Attribute{CEL: "object.a", Type: "json", Promoted: true}, InvalidExpression,
			[]string{"spec.attributes[bad].promoted", "scalar"},
		},
		"same name": {
			kollectv1alpha1.Attribute{Name: good, CEL: "object.a"}, InvalidExpression, []string{"spec.attributes[good].name", "rename"},
		},
		"long": {
			kollectv1alpha1.Attribute{CEL: `"` + strings.Repeat("a", MaxCELBytes) + `"`}, InvalidExpression, []string{"4096"},
		},
		"long path": {
			kollectv1alpha1.Attribute{JSONPath: "{." + strings.Repeat("a", MaxJSONPathBytes) + "}"}, InvalidExpression, []string{"1024"},
		},
		"text around": {
			kollectv1alpha1.Attribute{JSONPath: "name: {.metadata.name}"}, InvalidExpression,
			[]string{"spec.attributes[bad].jsonPath: give exactly one expression"},
		},
		"path without braces": {
			kollectv1alpha1.Attribute{JSONPath: ".metadata.name"}, InvalidExpression, []string{"exactly one expression in braces"},
		},
		"space around": {
			kollectv1alpha1.Attribute{JSONPath: " {.metadata.name}"}, InvalidExpression, []string{"nothing around it"},
		},
		"two paths": {
			kollectv1alpha1.Attribute{JSONPath: "{.a}{.b}"}, InvalidExpression, []string{"exactly one"},
		},
		"range": {
			kollectv1alpha1.Attribute{JSONPath: "{range .a}"}, InvalidExpression, []string{`"range"`, "[*]"},
		},
		"constant path": {
			kollectv1alpha1.Attribute{JSONPath: `{"a"}`}, InvalidExpression, []string{"constant"},
		},
		"two recursions": {
			kollectv1alpha1.Attribute{JSONPath: "{..a..b}"}, InvalidExpression, []string{"..", "use cel"},
		},
		"recursion in a filter": {
			kollectv1alpha1.Attribute{JSONPath: "{..a[?(@..b)]}"}, InvalidExpression, []string{"..", "use cel"},
		},
		"open path": {
			kollectv1alpha1.Attribute{JSONPath: "{.a"}, InvalidExpression, []string{"unclosed"},
		},
		"filter operator": {
			kollectv1alpha1.Attribute{JSONPath: `{.a[?(@.b=="a" && @.c)]}`}, InvalidExpression, []string{"unrecognized character"},
		},
		"step": {
			kollectv1alpha1.Attribute{JSONPath: "{.a[0:2:-1]}"}, InvalidExpression, []string{"step"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.bad.Name == "" {
				test.bad.Name = "bad"
			}
			profile, errs := Compile([]kollectv1alpha1.Attribute{{Name: good, CEL: "object.metadata.name"}, test.bad})
			if len(errs) != 1 || errs[0].Attribute != test.bad.Name || errs[0].Reason != test.reason {
				t.Fatalf("errors %+v, want one of %s: %s", errs, test.bad.Name, test.reason)
			}
			for _, part := range test.message {
				if !strings.Contains(errs[0].Message, part) {
					t.Errorf("message %q lacks %q", errs[0].Message, part)
				}
			}
			if len(errs[0].Message) > maxMessage+3 || strings.Contains(errs[0].Message, "\n") {
				t.Errorf("message of %d bytes: %q", len(errs[0].Message), errs[0].Message)
			}
			got, errs := profile.Attributes(nil, deployment())
			if string(got) != `{"good":"shop"}` || len(errs) > 0 {
				t.Errorf("got %s %v", got, errs)
			}
		})
	}
}

func TestAFailingAttributeLeavesTheOthers(t *testing.T) {
	profile, errs := Compile([]kollectv1alpha1.Attribute{
		{Name: "c", CEL: "object.kind"},
		{Name: "b", CEL: "object.none"},
		{Name: "a", JSONPath: "{.none}", Optional: true},
		{Name: "d", CEL: "object.metadata.labels", Optional: true},
		{Name: "e", JSONPath: "{.metadata}"},
		{Name: "f", CEL: "1 / object.spec.replicas + object.none", Optional: true, Type: "integer"},
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got, errs := profile.Attributes(nil, deployment())
	if string(got) != `{"c":"Deployment"}` {
		t.Errorf("got %s", got)
	}
	want := []AttributeError{
		{Attribute: "b", Reason: NotFound, Message: "spec.attributes[b].cel: the object has no .none; test for it, or set optional: true"},
		{Attribute: "d", Reason: WrongType, Message: "spec.attributes[d].cel: the value is a map, not of type string; select a part of it, or declare type: json"},
		{Attribute: "e", Reason: WrongType, Message: "spec.attributes[e].jsonPath: the value is a map, not of type string; select a part of it, or declare type: json"},
	}
	if diff := cmp.Diff(want, errs); diff != "" {
		t.Error(diff)
	}
}

// TestOptionalExcusesOnlyAMissingValue: an expression that is too dear, or that
// does not suit the objects, would otherwise never be seen.
func TestOptionalExcusesOnlyAMissingValue(t *testing.T) {
	object := largeObject()
	deep := any("x")
	for range MaxAttributeDepth + 1 {
		deep = []any{deep}
	}
	object["deep"] = deep
	for _, test := range []struct {
		cel, jsonPath string
		declared      kollectv1alpha1.AttributeType
		want          Reason
	}{
		{"object.none", "{.none}", "string", ""},
		{"object.none.none + 'x'", "{.none.none}", "string", ""},
		{"object.metadata.annotations", "{.metadata.annotations}", "string", ""},
		{"object.metadata.annotations.none", "{.metadata.annotations.none}", "string", ""},
		{"object.?none", "{.list[?(@.none)]}", "string", ""},
		{"object.list[99999]", "{.list[99999]}", "string", ""},
		{"object.list.filter(x, x == 'none')[0]", `{.list[?(@=="none")]}`, "string", ""},
		{"object.metadata", "{.metadata}", "string", WrongType},
		{"object.kind + object.spec.replicas", "{.kind[0]}", "string", WrongType},
		{"object.kind", "{.kind}", "integer", WrongType},
		{"object.big", "{.big}", "string", TooLarge},
		{"object.deep", "{.deep}", "json", TooLarge},
		{"object.list.distinct().size()", "{.list[" + strings.Repeat("*,", 99) + "*]}", "json", CostExceeded},
		{"object.kind.matches('a{1000}' + object.list.map(x, 'a{1000}').join())", "", "json", CostExceeded},
		{"object.kind.matches('(' + ['a{900}'].map(x, x + x + x + x + x + x + x + x + x + x + x + x)[0] + ')')", "", "json", CostExceeded},
		{"1 / (object.spec.replicas - 3)", "", "integer", EvaluationFailed},
		{"int(object.kind)", "", "integer", EvaluationFailed},
	} {
		for _, attribute := range []kollectv1alpha1.Attribute{celAttribute(test.cel, test.declared), pathAttribute(test.jsonPath, test.declared)} {
			if attribute.CEL+attribute.JSONPath == "" {
				continue
			}
			attribute.Optional = true
			got, err := extractOne(t, attribute, object)
			switch {
			case test.want == "" && (err != nil || got != "{"):
				t.Errorf("%.60s: got %s %v, want no value", attribute.CEL+attribute.JSONPath, got, err)
			case test.want != "" && (err == nil || err.Reason != test.want):
				t.Errorf("%.60s: got %.60s %v, want %s", attribute.CEL+attribute.JSONPath, got, err, test.want)
			}
		}
	}
}

func TestAProfileWithoutAttributesGivesAnEmptyObject(t *testing.T) {
	profile, errs := Compile(nil)
	got, more := profile.Attributes(nil, deployment())
	if string(got) != "{}" || len(errs)+len(more) > 0 {
		t.Errorf("got %s %v %v", got, errs, more)
	}
}

func TestAttributesOfManyGoroutines(t *testing.T) {
	profile, errs := Compile(append(exampleProfile(),
		kollectv1alpha1.Attribute{Name: "labels", JSONPath: "{.metadata.labels.*}"},
		kollectv1alpha1.Attribute{Name: "ready", JSONPath: `{.status.conditions[?(@.type=="Ready")].status}`},
		kollectv1alpha1.Attribute{Name: "fails", CEL: `object.kind + object.spec.replicas`},
		kollectv1alpha1.Attribute{Name: "costs", CEL: `lists.range(1000).map(a, lists.range(1000)).size()`, Type: "integer"},
	))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	object := deployment()
	want, wantErrs := profile.Attributes(nil, object)
	if len(wantErrs) != 2 {
		t.Fatalf("errors %v, want two", wantErrs)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			var buf []byte
			for range 5 {
				var errs []AttributeError
				buf, errs = profile.Attributes(buf[:0], object)
				if !bytes.Equal(buf, want) || cmp.Diff(wantErrs, errs) != "" {
					t.Errorf("got %s %v, want %s %v", buf, errs, want, wantErrs)
				}
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(deployment(), object); diff != "" {
		t.Errorf("the object changed: %s", diff)
	}
}

func TestErrorsNeverHoldValues(t *testing.T) {
	const secret = "s3cr3t"
	object := deployment()
	object["data"] = map[string]any{"password": secret, secret: secret, "list": []any{secret}, "number": 8675309.5, "int": int64(86753099)}
	expressions := []string{
		`object.data[object.data.password + "x"]`, `object[object.data.password]`, `object.data.list[object.data.int]`,
		`object.data.list[object.data.password]`, `int(object.data.password)`, `double(object.data.password)`, `bool(object.data.password)`,
		`timestamp(object.data.password)`, `duration(object.data.password)`, `quantity(object.data.password)`,
		`url(object.data.password)`, `ip(object.data.password)`, `cidr(object.data.password)`, `semver(object.data.password)`,
		`object.data.password.matches(object.data.password + "(")`, `object.data.password.charAt(object.data.int)`,
		`object.data.password.substring(object.data.int)`, `object.data.password.format([object.data.int, 1])`,
		`"%d".format([object.data.password])`, `object.data.password + 1`, `object.data.int + object.data.password`,
		`object.data.int * 922337203685477`, `object.data.int / 0`, `uint(-object.data.int)`, `int(object.data.number * 1e300)`,
		`object.data.list.sum()`, `object.data.list.map(x, int(x))`, `{object.data.password: 1}[object.data.list[0] + "y"]`,
		`[1, 2, 3].slice(object.data.int, 1)`, `lists.range(-object.data.int)`, `object.data.password.getHours(object.data.password)`,
		`timestamp("2026-01-01T00:00:00Z").getHours(object.data.password)`, `format.named(object.data.password).value()`,
		`object.data.list.map(x, object.data[x + "z"])`, `object.data.password.split(object.data.int)`, `object.data.password`,
		`object.data`, `object.data.list`, `object.data.number`, `object.?data[?object.data.password]`, `optional.of(object.data.password).foo`,
	}
	paths := []string{
		`{.data.password[0]}`, `{.data[?(@.a=="b")]}`, `{.data.list[?(@>1)]}`, `{.data.*.x}`, `{.data.list[7]}`, `{.data}`,
		`{.data.list[?(@.x)].y}`, `{.data..password.x}`, `{.data.list[*]}`, `{.data.password}`,
	}
	var attributes []kollectv1alpha1.Attribute
	for i, declared := range attributeTypes {
		for j, x := range append(expressions, paths...) {
			a := kollectv1alpha1.Attribute{Name: string(rune('a'+i)) + strings.Repeat("x", j), Type: declared}
			if j < len(expressions) {
				a.CEL = x
			} else {
				a.JSONPath = x
			}
			attributes = append(attributes, a)
		}
	}
	profile, errs := Compile(attributes)
	for _, err := range errs {
		if err.Reason != WrongType {
			t.Errorf("compile: %v", err)
		}
	}
	_, errs = profile.Attributes(nil, object)
	if len(errs) < 3*len(expressions) {
		t.Errorf("only %d errors; the test has lost its meaning", len(errs))
	}
	for _, err := range errs {
		for _, value := range []string{secret, "8675309", "86753099"} {
			if strings.Contains(err.Message, value) {
				t.Errorf("a value shows: %s", err.Message)
			}
		}
	}
}
