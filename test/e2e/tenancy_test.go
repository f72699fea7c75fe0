package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A target collects what its service account may read, and not more: neither
// served nor exported. That rights are asked again in time is tested with the
// controller, whose interval can be set.
func TestATargetCollectsWithTheRightsOfItsServiceAccount(t *testing.T) {
	s := begin(t, "team-x")
	s.namespace("team-y", "team=y")
	s.grantView("team-x", "both")
	s.grantView("team-y", "both")
	s.put("mine", "1")
	s.must(s.tryPut(t.Context(), "team-y", "theirs", "2"))
	_, err := s.core.CoreV1().Secrets("team-y").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
	s.must(err)
	s.apply(settings + exported("lake", "json"))
	as := func(account string) {
		t.Helper()
		s.cp.MustKubectl(t, "patch", "kollecttarget", "settings", "-n", s.ns, "--type=merge", "-p",
			fmt.Sprintf(`{"spec":{"serviceAccountName":%q,"namespaces":{"names":["team-x"],"selector":{"matchLabels":{"team":"y"}}}}}`, account))
	}
	at := s.exports(s.ns, "lake")
	first := s.wantExport(at, above(0, 1))

	as("default")
	s.wantCondition("kollecttarget/settings", "Ready", "False", "PartlyForbidden", "spec.serviceAccountName", "team-x/default", "in team-y", "RoleBinding")
	s.wantRows("lake", "mine=1")
	as("both")
	s.wantRows("lake", "mine=1", "theirs=2")
	s.wantCondition("kollecttarget/settings", "Ready", "True")
	both := s.wantExport(at, above(first.Generation, 2))
	as("nobody")
	s.wantCondition("kollecttarget/settings", "Ready", "False", "Forbidden", "team-x/nobody", "in team-x, team-y")
	s.wantRows("lake")
	s.wantExport(at, above(both.Generation, 0)) // that a right is gone was seen: it is no outage

	// Who edits a namespace configures what is collected there, and no more.
	s.cp.MustKubectl(t, "create", "rolebinding", "edit", "-n", s.ns, "--clusterrole=edit", "--user=tenant")
	for what, want := range map[string]string{
		"create kollecttargets -n team-x":                     "yes\n",
		"create kollectsinks -n team-x":                       "yes\n",
		"list inventoryrows -n team-x":                        "yes\n",
		"patch kollecttargets --subresource=status -n team-x": "no\n",
		"create kollecttargets -n team-y":                     "no\n",
		"list inventoryrows -n team-y":                        "no\n",
		"create kollectclustertargets":                        "no\n",
		"create kollectclustersinks":                          "no\n",
		"list clusterinventoryrows":                           "no\n",
		"list inventoryrows --all-namespaces":                 "no\n",
		"create inventoryrows -n team-x":                      "no\n",
	} {
		s.canI("tenant", what, want)
	}
}
