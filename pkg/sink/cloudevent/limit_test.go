package cloudevent_test

import (
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestRowsFitOrAreReferredToOrRefused(t *testing.T) {
	for name, c := range map[string]struct {
		attribute int // its length
		oversized kollectv1alpha1.OversizedRows
		limit     int
		referred  bool
		refused   []string
	}{
		"small":                     {10, kollectv1alpha1.OversizedReject, 4000, false, nil},
		"just fits":                 {3000, kollectv1alpha1.OversizedReject, 4000, false, nil},
		"too large":                 {4000, kollectv1alpha1.OversizedReject, 4000, false, []string{"Deployment team-a/web", "team-a/web takes", "the limit is 4000", "raise it", "or set spec.x.oversizedRows to Reference"}},
		"without a policy":          {4000, "", 4000, false, []string{"spec.x.oversizedRows"}},
		"too large, by reference":   {4000, kollectv1alpha1.OversizedReference, 4000, true, nil},
		"just fits, by reference":   {3000, kollectv1alpha1.OversizedReference, 4000, false, nil},
		"too large for a reference": {4000, kollectv1alpha1.OversizedReference, 100, false, []string{"the limit is 100", "raise it"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
			s.SetAttributes("web", `{"image":"`+strings.Repeat("x", c.attribute)+`"}`)
			of := s.Snapshot().Inventory()
			l := cloudevent.Limit{Bytes: c.limit, Oversized: c.oversized, Field: "spec.x", Mend: "raise it"}
			size := func(e *cloudevent.Event) int { return len(e.Data) + 500 }
			for e := range s.Snapshot().All() {
				event, err := l.Fit(cloudevent.NewExport(of, 1, when, cloudevent.Schema(of)), 1, e.Key, e.Row, size)
				if (err != nil) != (c.refused != nil) {
					t.Fatalf("error is %v", err)
				}
				for _, words := range c.refused {
					if !strings.Contains(err.Error(), words) {
						t.Errorf("error %q does not say %q", err, words)
					}
				}
				if err == nil && (attributes(event)["dataref"] != "") != c.referred {
					t.Errorf("attributes are %v", attributes(event))
				}
				if err != nil && c.oversized == kollectv1alpha1.OversizedReference && strings.Contains(err.Error(), "Reference") {
					t.Errorf("error %q names what is set", err)
				}
			}
		})
	}
}
