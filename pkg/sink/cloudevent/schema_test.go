package cloudevent_test

import (
	"encoding/json"
	"testing"
	"time"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestDataIsAsTheSchemaSays(t *testing.T) {
	var schema spec.Schema
	if err := json.Unmarshal([]byte(cloudevent.ValueSchema), &schema); err != nil {
		t.Fatal(err)
	}
	validator := validate.NewSchemaValidator(&schema, nil, "", strfmt.Default)
	check := func(name string, data []byte, fits bool) {
		t.Helper()
		var value any
		if err := json.Unmarshal(data, &value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := validator.Validate(value).AsError(); (err == nil) != fits {
			t.Errorf("%s: fits: %t, error: %v\n%s", name, fits, err, data)
		}
	}
	for name, namespace := range map[string]string{"namespaced": "team-a", "of the cluster": ""} {
		rows := sinktest.NewSample(inventory.Ref{Namespace: namespace, Name: "apps"})
		rows.Fill(1)
		of := rows.Snapshot().Inventory()
		export := cloudevent.NewExport(of, 3, time.Unix(0, 0), cloudevent.Schema(of))
		for e := range rows.Snapshot().All() {
			check(name+" row", export.Upserted(1, e.Key, e.Row).Data, true)
			check(name+" reference", export.Referred(1, e.Key, e.Row).Data, true)
		}
		for _, mark := range []sink.Mark{{}, {Generation: 3, Hash: "x", Schema: "y", Rows: 2, Time: time.Unix(1, 0), Forgotten: true}} {
			event, err := export.Marker("1", cloudevent.Checkpoint, mark)
			if err != nil {
				t.Fatal(err)
			}
			check(name+" mark", event.Data, true)
		}
	}
	check("another row", []byte(`{"key": 1, "cluster": "c", "inventory": "i", "target": {"name": "t"}, "source": {}}`), false)
	check("another mark", []byte(`{"cluster": "c", "name": "i"}`), false)
}
