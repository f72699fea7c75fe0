package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

func TestValueKeepsItsJSON(t *testing.T) {
	for _, want := range []string{`"text"`, `3`, `12345678901234567890`, `0.10`, `true`, `null`, `[]`, `{"a":{"b":[1,null]}}`} {
		t.Run(want, func(t *testing.T) {
			var row inventoryv1alpha1.RowContent
			if err := json.Unmarshal([]byte(`{"attributes":{"a":`+want+`}}`), &row); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(row.Attributes["a"])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValueWithoutAnythingIsNull(t *testing.T) {
	got, err := json.Marshal(inventoryv1alpha1.Value{})
	if err != nil || string(got) != "null" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestDeepCopyOfAValueSharesNothing(t *testing.T) {
	value := inventoryv1alpha1.Value{Raw: []byte(`"a"`)}
	duplicate := value.DeepCopy()
	duplicate.Raw[1] = 'b'
	if string(value.Raw) != `"a"` {
		t.Errorf("the original became %s", value.Raw)
	}
}
