package format

import (
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

func TestAPanicOfTheFillerIsItsError(t *testing.T) {
	filled, stop := fillAll([]*inventory.Entry{nil}, &inventory.Inventory{}, Options{})
	for range filled {
		t.Error("a batch of no row")
	}
	for range 2 {
		if err := stop(); err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("error %v, want the panic", err)
		}
	}
}
