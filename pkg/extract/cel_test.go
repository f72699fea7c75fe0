package extract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// largeObject has a long string and a long list.
func largeObject() map[string]any {
	object := deployment()
	object["big"] = strings.Repeat("a", 400_000)
	list := make([]any, 20_000)
	for i := range list {
		list[i] = fmt.Sprint("item", i)
	}
	object["list"] = list
	return object
}

// TestExpressionsEndAtTheirLimit holds expressions whose time or memory would
// otherwise grow beyond bounds. Those that fail would not end.
func TestExpressionsEndAtTheirLimit(t *testing.T) {
	doubled := func(step string) string { return "[[1]]" + strings.Repeat(".map(x, "+step+")", 32) }
	object := largeObject()
	for _, expression := range []string{
		`lists.range(300).map(a, lists.range(300).map(b, lists.range(300).map(c, a + b + c))).size()`,
		`object.list.map(a, object.list.map(b, a + b)).size()`,
		`lists.range(1000000).size()`,
		// Lists in lists in lists, each twice: comparing, printing, searching them.
		doubled("[x, x]"),
		doubled("{'a': x, 'b': x}"),
		doubled("x + x"),
		doubled("[0, 1].map(i, x)"),
		doubled("[x, x]") + " == " + doubled("[x, x]"),
		"dyn(1) in " + doubled("x + x"),
		`"%s".format([` + doubled("[x, x]") + `])`,
		// Strings of strings.
		`["ab"]` + strings.Repeat(".map(x, x + x)", 32) + `[0].size()`,
		`["ab"]` + strings.Repeat(".map(x, x.replace('', x))", 32) + `[0].size()`,
		`["ab"]` + strings.Repeat(".map(x, [x, x, x].join(x))", 32) + `[0].size()`,
		`["ab"]` + strings.Repeat(".map(x, '%s%s'.format([x, x]))", 32) + `[0].size()`,
		`object.big.replace("a", object.big).size()`,
		`object.list.map(x, object.big).join("").size()`,
		// Work that grows faster than its arguments.
		`object.list.distinct().size()`,
		`sets.intersects(object.list, object.list)`,
		`sets.contains(object.list, object.list)`,
		`sets.equivalent(object.list, object.list)`,
		`object.list.map(x, x).sort().size() + object.list.sort().size()`,
		`object.big.indexOf(object.big.substring(200000) + "b")`,
		`object.big.lastIndexOf("b" + object.big.substring(200000))`,
		`object.big.matches("` + strings.Repeat("(a?){90}", 20) + `b")`,
		`object.big.matches(object.big)`,
		`object.big.find("(" + object.big + ")")`,
		`object.big.findAll("` + strings.Repeat("(a|b){90}", 20) + `").size()`,
		`quantity(object.big.replace("a", "9"))`,
		`quantity("1e-999999999")`,
		`quantity("1E+999999999").isGreaterThan(quantity("1"))`,
		`object.list.all(x, quantity("1.5e999999999").compareTo(quantity(x.replace("item", ""))) != 0)`,
		`[quantity("1e5000")].map(q, object.list.all(x, object.list.all(y, q.isGreaterThan(quantity("1.0001")))))`,
		`quantity("1e-5000").isInteger()`,
		`isQuantity("9223372036854775808e-2147483648")`,
		`quantity("1e99999999999999999999")`,
		`object.list.slice(0, 2000).all(x, "%.65535e".format([1.5]) != "")`,
		`object.list.slice(0, 2000).all(x, "%%%.3f%.65535e".format([1.5, 1.5]) != "")`,
		`object.list.slice(0, 2000).all(x, "%.60000f".format([1.5]) != "")`,
		`"%.999999999f".format([1.5])`,
		// Large steps in a loop.
		`object.list.all(x, object == object)`,
		`object.list.all(x, object != [object])`,
		`object.list.all(x, object.list == object.list)`,
		`object.list.all(x, optional.of(object.list) == optional.of(object.list))`,
		`object.list.all(x, object.big.size() > 0)`,
		`object.list.all(x, object.big + "" == object.big)`,
		`object.list.all(x, object.big <= object.big + "a")`,
		`object.list.all(x, object.big.contains("ab") == false)`,
		`object.list.all(x, object.big.split("").size() > 0)`,
		`object.list.all(x, !isIP(object.big) && !isQuantity(object.big))`,
		`object.list.all(x, !isURL("https://" + object.big) || true)`,
		`object.list.all(x, format.dns1123Label().validate(object.big).hasValue())`,
		`object.list.all(x, object.list.reverse().size() > 0)`,
		`object.list.all(x, object.list.slice(0, 9999).size() > 0)`,
		`object.list.all(x, [object.list].flatten().size() > 0)`,
		`object.list.all(x, "%s".format([object.list]) != "")`,
		`object.list.all(x, !("none" in object.list))`,
		`object.list.all(x, object.list.indexOf("none") == -1)`,
		`object.list.all(x, timestamp("2026-01-01T00:00:00Z").getHours("Europe/Berlin") > 0)`,
		`object.list.filter(x, object.list.exists(y, y == "none")).size()`,
		`object.list.transformMapEntry(i, x, {x: object.list.filter(y, y == x)}).size()`,
		`object.list.sortBy(x, object.list.map(y, y).size()).size()`,
	} {
		if len(expression) > MaxCELBytes {
			t.Fatalf("%.60s: too long", expression)
		}
		got, err := extractOne(t, celAttribute(expression, "json"), object)
		if err == nil || err.Reason != CostExceeded {
			t.Errorf("%.100s: got %.20s, %v, want %s", expression, got, err, CostExceeded)
		}
	}
}

// TestUsualExpressionsStayWithinTheirLimit: the limit is for hostile ones.
func TestUsualExpressionsStayWithinTheirLimit(t *testing.T) {
	object := largeObject()
	for _, expression := range []string{
		`object.list.filter(x, x.endsWith("7")).map(x, {"name": x}).size()`,
		`object.list.map(x, x.replace("item", "")).filter(x, int(x) % 1000 == 0).sort()`,
		`object.big.indexOf("b")`,
		`object.big.matches("^[a-z]*$")`,
		`object.big.split("b").size()`,
		`"item9" in object.list`,
		`object.list.map(x, "%.3f %.2e".format([1.5, 2.5])).size()`,
		`object.list.sort()[0]`,
		`object.list.join(",").size()`,
		`object.list.exists(x, x == "item19999")`,
		`object.list.all(x, quantity(x.replace("item", "") + "e3").isLessThan(quantity("1e9")))`,
		`quantity("1e-30").isLessThan(quantity("1e30"))`,
	} {
		if _, err := extractOne(t, celAttribute(expression, "json"), object); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestMapsIterateInOrder: Go's random order must not show.
func TestMapsIterateInOrder(t *testing.T) {
	labels := map[string]any{}
	for i := range 30 {
		labels[fmt.Sprintf("k%02d", i)] = fmt.Sprint(i)
	}
	object := map[string]any{"labels": labels, "url": "https://a/?c=1&b=1&a=1&f=1&e=1&d=1"}
	for _, expression := range []string{
		`object.labels.map(k, k)`,
		`object.labels.filter(k, k != "k07").map(k, object.labels[k])`,
		`object.labels.transformList(k, v, k + v)`,
		`object.labels.transformMap(k, v, v + "!").map(k, k)`,
		`object.labels.transformMapEntry(k, v, {v: k}).map(k, k)`,
		`[object.labels].map(m, m.map(k, k))`,
		`{"z": 1, "a": 2, "m": 3, "b": 4, "y": 5, "c": 6}.map(k, k)`,
		`[1].map(x, {"z": x, "a": x, "m": x, "b": x, "y": x, "c": x}).map(m, m.map(k, k))`,
		`{3: 1, 1: 1, true: 1, false: 1, "b": 1, "a": 1, 2u: 1, 1u: 1}.map(k, string(k))`,
		`{timestamp(5): 5, timestamp(1): 1, timestamp(3): 3, timestamp(2): 2}.map(k, k)`,
		`{timestamp("2026-01-01T00:00:00Z"): 1, timestamp("2026-01-01T01:00:00+01:00"): 2, timestamp("2026-01-01T02:00:00+02:00"): 3}.transformList(k, v, v)`,
		`{duration("5s"): 5, duration("1s"): 1, duration("3s"): 3, duration("2s"): 2}.map(k, k)`,
		`{quantity("5k"): 5, quantity("1"): 1, quantity("3M"): 3, quantity("2m"): 2}.map(k, k)`,
		`{ip("::1"): 5, ip("10.0.0.1"): 1, ip("10.0.0.2"): 3, ip("::2"): 2}.map(k, k)`,
		`{int: 5, string: 1, bool: 3, list: 2, map: 4}.transformList(k, v, v)`,
		`{5.5: 5, 1.5: 1, double("-Infinity"): 3, 2.5: 2}.transformList(k, v, v)`,
		`url(object.url).getQuery().map(k, k)`,
		`object.labels.exists(k, 1 / (k == "k03" ? 0 : 1) > 1) || true`,
	} {
		first := ""
		for i := range 20 {
			got, err := extractOne(t, celAttribute(expression, "json"), object)
			if err != nil {
				t.Fatalf("%s: %v", expression, err)
			}
			if i == 0 {
				first = got
			}
			if got != first {
				t.Fatalf("%s: once %s, then %s", expression, first, got)
			}
		}
	}
}

// TestEqualKeysAreRefused: no order of them is the same each time.
func TestEqualKeysAreRefused(t *testing.T) {
	for _, expression := range []string{
		`{quantity("1"): "a", quantity("1"): "b"}.transformList(k, v, v)`,
		`{quantity("1"): "a", quantity("2"): "c", quantity("1"): "b"}.transformList(k, v, v)`,
		`["a", "b"].transformMapEntry(i, v, {quantity("1"): v}).transformList(k, v, v)`,
	} {
		for range 10 {
			got, err := extractOne(t, celAttribute(expression, "json"), deployment())
			if err == nil || err.Reason != EvaluationFailed {
				t.Fatalf("%s: got %s %v, want %s", expression, got, err, EvaluationFailed)
			}
		}
	}
}

// TestSharedErrorsAreSafe: some errors are the same value wherever they arise.
func TestSharedErrorsAreSafe(t *testing.T) {
	profile, errs := Compile([]kollectv1alpha1.Attribute{
		{Name: "a", CEL: `timestamp(object.metadata.generation)`},
		{Name: "b", CEL: `object.spec.paused || object.metadata.generation + 1 > 0 ? timestamp(object.metadata.generation * 2) : timestamp(0)`},
		{Name: "c", CEL: `object.spec.paused ? "" : object.kind + object.spec.replicas`},
		{Name: "d", CEL: `[timestamp(string(object.metadata.creationTimestamp)), timestamp(-object.metadata.generation)]`, Type: "json"},
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			_, errs := profile.Attributes(nil, deployment())
			if len(errs) != 4 {
				t.Errorf("%d errors, want 4: %v", len(errs), errs)
			}
			for _, err := range errs { // no location is right for all
				if err.Attribute != "c" && strings.Contains(err.Message, "column") {
					t.Errorf("another error's location: %s", err.Message)
				}
			}
		})
	}
	wait.Wait()
}

// TestEveryFunctionHasAPrice fails when a new version of Kubernetes' libraries
// brings functions that no one has looked at.
func TestEveryFunctionHasAPrice(t *testing.T) {
	// These do no more than read each of their strings a few times.
	cheap := strings.Fields(`!_ -_ _!=_ _%_ _&&_ _*_ _+_ _-_ _/_ _<=_ _<_ _==_ _>=_ _>_ _?._ _?_:_ _[?_] _[_] _||_
		@not_strictly_false __not_strictly_false__ bool bytes double duration int string timestamp uint
		charAt size contains endsWith lowerAscii startsWith substring trim upperAscii
		add asApproximateFloat asInteger compareTo isGreaterThan isInteger isLessThan sign sub
		containsCIDR containsIP family isGlobalUnicast isLinkLocalMulticast isLinkLocalUnicast isLoopback isUnspecified
		masked prefixLength getEscapedPath getHost getHostname getPort getQuery getScheme
		major minor patch optional.none format.named`)
	// Their automata pay for themselves.
	regex := []string{"matches", "find", "findAll"}
	// No expression can have an authorizer to call them with.
	unreachable := strings.Fields(`allowed check error errored fieldSelector group labelSelector name namespace path
		reason resource serviceAccount subresource`)
	environment, err := environmentOnce()
	if err != nil {
		t.Fatal(err)
	}
	names := environment.env.Functions()
	for name := range names {
		_, priced := prices[name]
		known := priced || slices.Contains(cheap, name) || slices.Contains(regex, name) || slices.Contains(unreachable, name)
		if !known && !strings.HasPrefix(name, "format.") {
			t.Errorf("function %s has no price", name)
		}
	}
	for name := range prices {
		if _, ok := names[name]; !ok {
			t.Errorf("price of an unknown function %s", name)
		}
	}
}

// kubernetesResult is what Kubernetes' own evaluator answers: the JSON of the
// value, or "error".
func kubernetesResult(t testing.TB, expression string, object map[string]any) (string, bool) {
	environment, err := environmentOnce()
	if err != nil {
		t.Fatal(err)
	}
	checked, issues := check(environment.env, expression)
	if issues.Err() != nil {
		return "", false
	}
	program, err := environment.env.Program(checked, cel.CostLimit(100_000))
	if err != nil {
		return "", false
	}
	out, _, err := program.Eval(map[string]any{objectVariable: object})
	if err != nil {
		return "error", true
	}
	v := scalar(out)
	if v == nil {
		return "error", true
	}
	encoded, fail := appendValue(nil, v, kollectv1alpha1.AttributeJSON)
	if fail != nil {
		return "error", true
	}
	return string(encoded), true
}

// TestResultsAreKubernetes: planning and paying here changes no result.
func TestResultsAreKubernetes(t *testing.T) {
	for _, expression := range celExpressions {
		want, ok := kubernetesResult(t, expression, deployment())
		if !ok {
			t.Errorf("%s: does not compile", expression)
			continue
		}
		got, err := extractOne(t, celAttribute(expression, "json"), deployment())
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: got %s %v, want %s", expression, got, err, want)
		}
	}
}

// celExpressions use every function and kind of node at least once.
var celExpressions = []string{
	`object.metadata.name`, `object.none`, `object.metadata.labels["app.kubernetes.io/version"]`, `object["kind"]`, `object.kind.none`,
	`object.spec.template.spec.containers[1].name`, `object.spec.template.spec.containers[2]`, `object.spec.template.spec.containers[1u].name`,
	`object.spec.template.spec.containers[1.0].name`, `object.spec.template.spec.containers["x"]`, `object.spec[0]`, `object[object.kind]`,
	`has(object.spec.none)`, `has(object.spec.replicas)`, `has(object.none.none)`, `has(object.kind.none)`,
	`object.?spec.?none`, `object.?spec.?replicas`, `object.?none.?none.orValue("x")`, `object[?"kind"].orValue("x")`,
	`object.?none.or(object.?kind)`, `object.?kind.or(object.?none)`, `object.?kind.or(object.none)`, `object.?none.orValue(object.none)`,
	`object.?kind.hasValue()`, `object.?kind.value()`, `object.?none.value()`, `optional.of(1)`, `optional.none()`, `optional.ofNonZeroValue("")`,
	`optional.ofNonZeroValue({})`, `optional.ofNonZeroValue({"a": 1})`, `optional.ofNonZeroValue(object.metadata.labels.filter(k, false))`,
	`optional.ofNonZeroValue(object.metadata.labels.transformMap(k, v, false, v))`, `optional.ofNonZeroValue(object.status.conditions).hasValue()`,
	`optional.ofNonZeroValue(object.spec).hasValue()`, `optional.ofNonZeroValue({"a": object.kind}).value()`,
	`object.?spec.?replicas.optMap(x, x + 1)`, `object.?spec.optFlatMap(x, x.?replicas)`, `optional.unwrap([optional.of(1), optional.none()])`,
	`[optional.of(1)].unwrapOpt()`, `{"a": 1, ?"b": object.?none}`, `[1, ?object.?none]`, `object.spec.template.spec.containers[?0].hasValue()`,
	`[1, 2].first()`, `[1, 2].last()`,
	`1 + 2 * 3 - 4 / 3 % 2`, `-object.spec.replicas`, `1.5 + 2.0`, `1u + 2u`, `object.spec.replicas / 0`, `9223372036854775807 + 1`,
	`object.spec.replicas > 2 && object.kind == "Deployment"`, `object.spec.replicas < 2 || object.none`, `object.none || true`, `object.none && false`,
	`!object.spec.paused`, `object.spec.paused ? object.none : object.kind`, `object.kind ? 1 : 2`, `object.spec.replicas == 3.0`, `object.kind != 3`,
	`object.spec.ratio <= 1`, `"a" >= "b"`, `object.kind < 3`, `object.spec == object.spec`, `object.spec != {}`, `object.metadata.labels == {"a": "b"}`,
	`object.status.conditions == object.status.conditions`, `[1, 2] == [1.0, 2.0]`, `{"a": [1]} == {"a": [1u]}`, `object.metadata.annotations == null`,
	`"web" in object.metadata.labels`, `"tier" in object.metadata.labels`, `object.kind in ["Deployment", "StatefulSet"]`, `object.spec.replicas in [3.0]`,
	`object.metadata in [1, "a"]`, `[80, 443] in object.spec.template.spec.containers.map(c, c.?ports.orValue([]))`, `1 in object.kind`,
	`object.metadata.labels.map(k, k)`, `object.metadata.labels.all(k, k != "")`, `object.metadata.labels.exists(k, k == "tier")`,
	`object.status.conditions.exists_one(c, c.status == "True")`, `object.status.conditions.filter(c, c.status == "True")[0].type`,
	`object.status.conditions.map(c, c.status == "True", c.type)`, `object.status.conditions.all(c, c.none == 1)`, `object.kind.map(x, x)`,
	`object.status.conditions.all(i, c, i < 2)`, `object.status.conditions.exists(i, c, c.type == "Ready")`, `object.status.conditions.existsOne(i, c, i == 1)`,
	`object.metadata.labels.transformList(k, v, k + "=" + v)`, `object.metadata.labels.transformList(k, v, k == "tier", v)`,
	`object.metadata.labels.transformMap(k, v, v + "!")`, `object.metadata.labels.transformMap(k, v, k == "tier", v)`,
	`object.metadata.labels.transformMapEntry(k, v, {v: k})`, `object.status.conditions.transformMapEntry(i, c, {c.type: c.status})`,
	`object.spec.template.spec.containers.map(c, {"name": c.name, "main": c.name == "web"})`,
	`[1, 2].map(x, [3, 4].map(y, x * y))`, `[[1, 2], [3]].map(l, l.map(x, x + l.size()))`,
	`size(object.spec)`, `object.kind.size()`, `object.status.conditions.size()`, `size(dyn(1))`, `type(object.kind) == string`, `type(object) == map`,
	`dyn(object.kind)`, `string(object.spec.replicas)`, `string(object.spec.ratio)`, `string(object.spec.paused)`, `string(b"abc")`, `string(object)`,
	`int(object.spec.ratio)`, `int("12")`, `int(object.kind)`, `uint(object.spec.replicas)`, `uint(object.spec.replicas - 9)`, `double(object.spec.replicas)`, `bool("true")`,
	`bytes(object.kind)`, `b"a" + b"b"`, `timestamp(object.metadata.creationTimestamp)`, `duration("90s")`, `timestamp(0)`,
	`timestamp(object.metadata.creationTimestamp) + duration("1h")`, `timestamp(object.metadata.creationTimestamp) - timestamp(0)`,
	`timestamp(object.metadata.creationTimestamp).getFullYear()`, `timestamp(object.metadata.creationTimestamp).getHours("+02:00")`,
	`timestamp(object.metadata.creationTimestamp).getDayOfWeek()`, `timestamp(object.metadata.creationTimestamp).getMonth()`,
	`timestamp(object.metadata.creationTimestamp).getDate()`, `timestamp(object.metadata.creationTimestamp).getDayOfYear()`,
	`timestamp(object.metadata.creationTimestamp).getDayOfMonth()`, `timestamp(object.metadata.creationTimestamp).getMinutes()`,
	`duration("90m").getHours()`, `duration("90m").getMinutes()`, `duration("90m").getSeconds()`, `duration("90m").getMilliseconds()`,
	`object.kind.startsWith("Dep")`, `object.kind.endsWith("x")`, `object.kind.contains("loy")`, `object.kind.matches("^D.*t$")`, `object.kind.matches(object.kind)`,
	`matches(object.kind, "x")`, `object.kind.matches("(" + object.kind)`, `object.spec.replicas.matches("a")`, `object.kind.find("[a-z]+")`, `object.kind.find("none")`,
	`object.kind.find(object.kind)`, `object.kind.findAll("[a-z]")`, `object.kind.findAll("[a-z]", 2)`, `object.kind.findAll("none")`, `object.kind.findAll(object.kind, 0)`,
	`object.kind.charAt(1)`, `object.kind.charAt(100)`, `object.kind.indexOf("p")`, `object.kind.indexOf("p", 3)`, `object.kind.indexOf("")`,
	`object.kind.lastIndexOf("e")`, `object.kind.lastIndexOf("e", 3)`, `object.kind.lowerAscii()`, `object.kind.upperAscii()`, `object.kind.replace("e", "E")`,
	`object.kind.replace("", "-")`, `object.kind.replace("e", "", 1)`, `object.kind.split("")`, `object.kind.split("e")`, `object.kind.split("e", 2)`,
	`object.kind.substring(3)`, `object.kind.substring(1, 3)`, `object.kind.substring(50)`, `"  a ".trim()`, `["a", "b"].join()`, `["a", "b"].join("-")`,
	`object.status.conditions.map(c, c.type).join(", ")`, `[dyn(1)].join(",")`, `strings.quote("a\"b")`, `"%s is %d".format([object.kind, object.spec.replicas])`,
	`"%.2f %b %x %e".format([1.5, 5, 255, 100.0])`, `"%s".format([object.metadata.labels])`, `"%s".format([[1, "a", {"b": true}]])`, `"%d".format([object.kind])`,
	`[1, 2, 2].distinct()`, `[[1], [1.0]].distinct()`, `[3, 1, 2].sort()`, `["b", "a"].sort()`, `[1, "a"].sort()`, `[3, 1].sortBy(x, -x)`,
	`object.status.conditions.sortBy(c, c.status).map(c, c.type)`, `[1, 2, 3].reverse()`, `[1, 2, 3].slice(1, 2)`, `[1, 2].slice(1, 5)`, `[[1], [2, [3]]].flatten()`,
	`[[1], [2, [3]]].flatten(2)`, `lists.range(3)`, `[1, 2].sum()`, `[1.5, 2.0].max()`, `[1, 2].min()`, `[].max()`, `[1, 2].isSorted()`, `["b", "a"].isSorted()`,
	`[1, 2, 1].indexOf(1)`, `[1, 2, 1].lastIndexOf(1)`, `[1] + [2, 3]`, `object.status.conditions + [1]`, `object.status.conditions.map(c, c) + object.status.conditions`,
	`sets.contains([1, 2], [2])`, `sets.equivalent([1, 2], [2, 1, 1])`, `sets.intersects([1], [2])`, `sets.contains(object.status.conditions, object.status.conditions)`,
	`quantity("1Gi")`, `quantity(object.spec.memory).isGreaterThan(quantity("1Mi"))`, `quantity("x")`, `isQuantity("1.5k")`, `quantity("1500m").asApproximateFloat()`,
	`quantity("2k").asInteger()`, `quantity("1k").isInteger()`, `quantity("1k").add(5)`, `quantity("1k").sub(quantity("1"))`, `quantity("1k").compareTo(quantity("1M"))`,
	`sign(quantity("-1"))`, `quantity("1k") == quantity("1000")`, `quantity("1k").isLessThan(quantity("1M"))`,
	`ip("10.0.0.1").family()`, `isIP("x")`, `ip.isCanonical("::1")`, `ip("127.0.0.1").isLoopback()`, `ip("8.8.8.8").isGlobalUnicast()`, `string(ip("::1"))`,
	`ip("0.0.0.0").isUnspecified()`, `ip("224.0.0.1").isLinkLocalMulticast()`, `ip("169.254.0.1").isLinkLocalUnicast()`,
	`cidr("10.0.0.0/8").containsIP("10.1.2.3")`, `cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16")`, `cidr("10.1.0.0/8").masked()`, `cidr("10.0.0.0/8").prefixLength()`,
	`cidr("10.0.0.0/8").ip()`, `isCIDR("10.0.0.0/33")`, `string(cidr("10.0.0.0/8"))`,
	`url("https://a:1/b?c=d").getHost()`, `url("https://a:1/b?c=d").getQuery()`, `isURL("x")`, `url("https://a:1/b").getPort()`, `url("https://a/b").getScheme()`,
	`url("https://a:1/b c").getEscapedPath()`, `url("https://a:1/").getHostname()`,
	`semver("1.2.3").major()`, `semver("1.2.3").isLessThan(semver("1.10.0"))`, `isSemver("v1.2")`, `semver("v1.2", true)`, `semver("1.2.3").compareTo(semver("1.2.3"))`,
	`semver("1.2.3").minor() + semver("1.2.3").patch()`, `semver("1.2.3").isGreaterThan(semver("1.2.4"))`,
	`format.dns1123Label().validate("A").hasValue()`, `format.named("uuid").value().validate("x").value()`, `format.named("none").hasValue()`, `format.dns1123Label()`,
	`{"a": 1}.a`, `{"a": {"b": 2}}.a.b`, `{1: "x"}[1]`, `{"a": 1}["b"]`, `[1, 2][5]`, `{"a": 1, "a": 2}`, `[][0]`, `{}`, `[]`, `null`, `"x"`, `1.0`, `b"x"`, `type(1)`,
	`object`, `[object.metadata.labels]`, `{"labels": object.metadata.labels}`, `object.metadata.annotations`, `[object.metadata.annotations]`,
}

func TestScalarsOfTheAdapterAreKubernetes(t *testing.T) {
	environment, err := environmentOnce()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{nil, true, "a", int64(1), 1.5, []byte("x"), types.String("y"), []string{"a"}, map[string]any{"a": nil}, []any{"a"}} {
		got, fail := appendValue(nil, []any{environment.env.CELTypeAdapter().NativeToValue(v)}, kollectv1alpha1.AttributeJSON)
		want, err := json.Marshal([]any{v})
		if err != nil || fail != nil || string(got) != string(want) {
			t.Errorf("%T: got %s, want %s (%v)", v, got, want, fail)
		}
	}
}
