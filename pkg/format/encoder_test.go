package format

import (
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

func TestAPanicOfAnEncoderIsItsError(t *testing.T) {
	e := &encoder{order: &order{snapshot: &inventory.Snapshot{}, runs: []run{{}}}}
	if err := e.encode(1); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("error %v, want the panic", err)
	}
}
