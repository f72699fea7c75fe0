package collect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/extract"
)

func failing(attribute, message string) []extract.AttributeError {
	return []extract.AttributeError{{Attribute: attribute, Reason: extract.WrongType, Message: message}}
}

func TestAFailureSaysWhatFailsNow(t *testing.T) {
	tally := newTally()
	rec, ex := &record{}, &extracted{object: object{namespace: "ns", name: "w"}}
	for _, tc := range []struct {
		message string
		news    bool
	}{{"first", true}, {"first", false}, {"second", true}, {"second", false}} {
		if news := tally.set(rec, ex, failing("a", tc.message)); news != tc.news {
			t.Errorf("news of %q: %v, want %v", tc.message, news, tc.news)
		}
		want := []Failure{{Attribute: "a", Reason: extract.WrongType, Message: tc.message, Objects: 1, Namespace: "ns", Name: "w"}}
		if diff := cmp.Diff(want, tally.failures()); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
	}
}
