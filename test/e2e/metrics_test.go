package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// The server's metrics say how far each sink is.
func TestMetricsSayHowFarSinksAre(t *testing.T) {
	s := begin(t, "metered")
	s.put("one", "1")
	s.put("two", "2")
	s.apply(settings + exported("lake", "json"))
	p := s.wantExport(s.exports(s.ns, "lake"), above(0, 2))
	server := kubernetes.NewForConfigOrDie(s.server.Config()).Discovery().RESTClient()
	s.until(func() error {
		metrics, err := server.Get().AbsPath("/metrics").DoRaw(s.Context())
		if err != nil {
			return err
		}
		for name, value := range map[string]string{
			"state":           "1",
			"generation":      fmt.Sprint(p.Generation),
			"rows":            "2",
			"pending":         "0",
			"lag_seconds":     "0",
			"lag_generations": "0",
		} {
			labels := fmt.Sprintf(`inventory="lake",namespace="%s",sink="lake"`, s.ns)
			if name == "state" {
				labels += `,state="Exported"`
			}
			if want := fmt.Sprintf("kollect_export_%s{%s} %s\n", name, labels, value); !strings.Contains(string(metrics), want) {
				return fmt.Errorf("there is no %s", want)
			}
		}
		return nil
	})
}
