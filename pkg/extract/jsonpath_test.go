package extract

import (
	"runtime"
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

func TestJSONPath(t *testing.T) {
	tests := []struct {
		path     string
		declared kollectv1alpha1.AttributeType
		want     string // or the reason
	}{
		{"{.metadata.name}", "string", `"shop"`},
		{"{$.metadata.name}", "string", `"shop"`},
		{"{.metadata.labels['app\\.kubernetes\\.io/version']}", "string", `"1.27"`},
		{"{.metadata.labels.app\\.kubernetes\\.io/version}", "string", `"1.27"`},
		{"{.metadata.generation}", "integer", "9007199254740993"},
		{"{.metadata.generation}", "json", "9007199254740993"},
		{"{.spec.million}", "string", `"1e+06"`},
		{"{.spec.paused}", "boolean", "false"},
		{"{.spec.none}", "string", "NotFound"},
		{"{.metadata.name.none}", "string", "NotFound"},
		{"{.metadata.annotations}", "json", "NotFound"},
		{"{.metadata.annotations.none}", "json", "NotFound"},
		{"{.spec.template.spec.containers[0].image}", "string", `"nginx:1.27"`},
		{"{.spec.template.spec.containers[-1].image}", "string", `"vector:0.40"`},
		{"{.spec.template.spec.containers[2].image}", "string", "NotFound"},
		{"{.spec.template.spec.containers[-3].image}", "string", "NotFound"},
		{"{.metadata.name[0]}", "string", "WrongType"},
		{"{.metadata[0]}", "string", "WrongType"},

		{"{.spec.template.spec.containers[*].image}", "string", `"nginx:1.27 vector:0.40"`},
		{"{.spec.template.spec.containers[*].image}", "json", `["nginx:1.27","vector:0.40"]`},
		{"{.spec.template.spec.containers[*].image}", "integer", "WrongType"},
		{"{.spec.template.spec.containers[0:1].image}", "json", `["nginx:1.27"]`},
		{"{.spec.template.spec.containers[0:1].image}", "string", `"nginx:1.27"`},
		{"{.spec.template.spec.containers[1:2:9223372036854775807].image}", "string", `"vector:0.40"`},
		{"{.spec.template.spec.containers[*].ports[*]}", "string", `"80 443"`},
		{"{.spec.template.spec.containers[*].ports[1]}", "integer", "443"},
		{"{.spec.template.spec.containers[*].none}", "json", "NotFound"},
		{"{.spec.template.spec.containers[*]}", "string", "WrongType"},
		{"{.spec.template.spec.containers[0,1].name}", "json", `["web","log"]`},
		{"{.spec.template.spec.containers[0]['name','image']}", "json", `["web","nginx:1.27"]`},
		{"{.metadata.labels.*}", "json", `["1.27","\u003ca\u0026b\u003e","web"]`},
		{"{.metadata.labels.*}", "string", `"1.27 \u003ca\u0026b\u003e web"`},
		{"{..image}", "json", `["nginx:1.27","vector:0.40"]`},
		{"{..ports[0]}", "integer", "80"},
		{`{.status.conditions[?(@.type=="Ready")].status}`, "string", `"False"`},
		{`{.status.conditions[?(@.type=="Ready")].status}`, "json", `["False"]`},
		{`{.status.conditions[?(@.type=="None")].status}`, "string", "NotFound"},
		{`{.status.conditions[?(@.type!="Ready")].type}`, "string", `"Available"`},
		{`{.spec.template.spec.containers[?(@.ports)].name}`, "string", `"web"`},
		{`{.spec.template.spec.containers[?(@.ports[0]>79)].name}`, "string", `"web"`},
		{`{.spec.template.spec.containers[?(@.name>1)].name}`, "string", "WrongType"},
		{`{.spec.template.spec.containers[?(@.none=="x")].name}`, "string", "NotFound"},
		{`{.metadata[?(@.name=="x")]}`, "string", "WrongType"},
		{"{.metadata.labels}", "json", `{"app.kubernetes.io/version":"1.27","html":"\u003ca\u0026b\u003e","tier":"web"}`},
		{"{@.spec.template.spec.containers[1]}", "json", `{"image":"vector:0.40","name":"log"}`},
	}
	for _, test := range tests {
		t.Run(test.path+" as "+string(test.declared), func(t *testing.T) {
			for range 5 { // map iteration has no say
				got, err := extractOne(t, pathAttribute(test.path, test.declared), deployment())
				if err != nil {
					got = string(err.Reason)
				}
				if got != test.want {
					t.Errorf("got %s, want %s (%v)", got, test.want, err)
				}
			}
		})
	}
}

func TestJSONPathStepsAreLimited(t *testing.T) {
	list := make([]any, 2000)
	for i := range list {
		list[i] = []any{int64(i), "text"}
	}
	object := map[string]any{"list": list}
	for path, want := range map[string]Reason{
		"{.list[*,*,*,*][*,*,*,*]}": TooLarge,
		"{.list[*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*][*,*,*,*,*,*,*,*,*,*,*,*,*,*,*,*][0]}": CostExceeded,
		"{.list[?(@[" + strings.Repeat("*,", 150) + "*])].x}":                          CostExceeded,
	} {
		_, err := extractOne(t, pathAttribute(path, "json"), object)
		if err == nil || err.Reason != want {
			t.Errorf("%.40s: got %v, want %s", path, err, want)
		}
	}
}

// TestJSONPathStepsArePaidFirst: what is beyond the limit takes no memory.
func TestJSONPathStepsArePaidFirst(t *testing.T) {
	list := make([]any, 100_000)
	for i := range list {
		list[i] = "x"
	}
	object := map[string]any{"a": map[string]any{"x": list}}
	lists := "{.a[" + strings.Repeat("'x',", 150) + "'x']"
	for _, path := range []string{lists + "[*]}", lists + "[0:]}", lists + "[0:99999:2]}", lists + "[?(@)]}", lists + "[*,*]}"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := extractOne(t, pathAttribute(path, "json"), object)
		runtime.ReadMemStats(&after)
		if err == nil || err.Reason != CostExceeded {
			t.Errorf("%.15s...%s: got %v, want %s", path, path[len(lists):], err, CostExceeded)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
			t.Errorf("%.15s...%s: %d bytes were allocated", path, path[len(lists):], got)
		}
	}
}
