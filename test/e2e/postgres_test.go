package e2e

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/test/services/postgres"
)

// inPostgres is an inventory of all targets that goes to a table.
const inPostgres = `---
apiVersion: v1
kind: Secret
metadata: {name: dsn}
stringData: {dsn: %q}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sink-secrets}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [dsn], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sink-secrets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sink-secrets}
subjects: [{kind: ServiceAccount, name: kollect-apiserver, namespace: kollect-system}]
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: portal}
spec: {type: postgres, postgres: {schema: inventory, table: rows}, secretRef: {name: dsn}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: portal}
spec: {sinkRefs: [{name: portal}], exportMinInterval: 1s}
`

// What psql finds is what the API serves, through changes, a restart of the
// server and the deletion of the last object.
func TestPostgresHoldsWhatTheAPIServes(t *testing.T) {
	db, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := begin(t, "postgres")
	ask := func(query string) (string, error) {
		out, err := db.Psql(t.Context(), "postgres", query)
		return strings.Join(strings.Fields(out), " "), err
	}
	wantTable := func(want string) {
		t.Helper()
		s.until(func() error {
			got, err := ask(`select resource_name || '=' || (attributes->>'value') from inventory.inventory_current where inventory_name = 'portal' order by 1`)
			if err == nil && got != want {
				err = fmt.Errorf("the table has %q, want %q", got, want)
			}
			return err
		})
	}
	remove := func(name string) {
		t.Helper()
		s.must(s.core.CoreV1().ConfigMaps(s.ns).Delete(t.Context(), name, metav1.DeleteOptions{}))
	}

	s.put("a", "1")
	s.put("b", "2")
	secret, sink, _ := strings.Cut(fmt.Sprintf(inPostgres, db.DSN("postgres")), "---\napiVersion: kollect.io")
	s.apply(settings + secret) // which takes the authorizer a moment to see
	s.until(func() error { return s.mayReadSecret("dsn") })
	s.apply("apiVersion: kollect.io" + sink)
	s.wantCondition("ksink/portal", "Ready", "True")
	wantTable("a=1 b=2")
	s.put("b", "3")
	wantTable("a=1 b=3")
	s.wantCondition("kinv/portal", "Exported", "True")

	s.stop(s.server.Stop)
	remove("a")
	s.must(s.server.Start(t.Context()))
	wantTable("b=3") // though nobody saw it go
	remove("b")
	wantTable("")
}

// mayReadSecret returns an error unless the server may read the Secret.
func (s *scene) mayReadSecret(name string) error {
	_, err := s.cp.Kubectl(s.Context(), "get", "secret", name, "-n", s.ns, "--as=system:serviceaccount:kollect-system:kollect-apiserver", "-o", "name")
	return err
}
