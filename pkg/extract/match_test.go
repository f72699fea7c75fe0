package extract

import (
	"errors"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		expression string
		want       bool
		reason     Reason
	}{
		{`object.metadata.name == "shop"`, true, ""},
		{`object.metadata.name != "shop"`, false, ""},
		{`object.spec.paused`, false, ""},
		{`object.?spec.?none.orValue(true)`, true, ""},
		{`"tier" in object.metadata.labels`, true, ""},
		{`object.spec.none`, false, NotFound},
		{`object.kind`, false, WrongType},
		{`object.kind + object.spec.replicas == "a"`, false, WrongType},
		{`object.status.conditions.all(c, c.none)`, false, NotFound},
		{`lists.range(2000).all(x, lists.range(2000).all(y, x >= 0))`, false, CostExceeded},
	}
	for _, test := range tests {
		t.Run(test.expression, func(t *testing.T) {
			match, err := CompileMatch(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			got, err := match.Matches(deployment())
			var reason Reason
			var failed *MatchError
			if errors.As(err, &failed) {
				reason = failed.Reason
			}
			if got != test.want || reason != test.reason {
				t.Errorf("got %t, %v, want %t %s", got, err, test.want, test.reason)
			}
		})
	}
}

func TestAMatchThatIsNoConditionDoesNotCompile(t *testing.T) {
	for expression, want := range map[string]string{
		`object.(`:          "spec.match: line 1, column 8: Syntax error: no viable alternative at input '.('; correct the expression",
		`"a"`:               "spec.match: the expression returns string, not a boolean; compare it with something",
		`object.?spec.?a`:   "spec.match: the expression returns optional_type(dyn), not a boolean; end it with .orValue(false)",
		`object.kind.size(`: "spec.match: ",
	} {
		match, err := CompileMatch(expression)
		var failed *MatchError
		if match != nil || !errors.As(err, &failed) || len(failed.Message) < len(want) || failed.Message[:len(want)] != want {
			t.Errorf("%s: got %v, want %s", expression, err, want)
		}
	}
}
