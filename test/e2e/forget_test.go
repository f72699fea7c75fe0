package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/pkg/cli"
	"kollect.io/kollect/test/services/postgres"
)

// inTwoPlaces is an inventory that goes to a table and to a folder, and takes along
// what is there when it is deleted. The sink fresh is nobody's yet.
const inTwoPlaces = `---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: table}
spec: {type: postgres, postgres: {schema: inventory, table: rows}, secretRef: {name: dsn}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: folder}
spec: {type: objectStore, objectStore: {url: "file:///NS"}, minWriteInterval: 0s}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: fresh}
spec: {type: objectStore, objectStore: {url: "file:///NS", prefix: fresh}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: both}
spec: {sinkRefs: [{name: table}, {name: folder}], exportMinInterval: 1s, deletionPolicy: Delete}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: stays}
spec: {sinkRefs: [{name: table}], exportMinInterval: 1s}
`

// twoPlaces is a scene with those.
type twoPlaces struct {
	*scene
	db *postgres.Server
}

func beginTwoPlaces(t *testing.T) *twoPlaces {
	t.Helper()
	db, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &twoPlaces{begin(t, "forgets"), db}
	s.put("a", "1")
	s.put("b", "2")
	secret, _, _ := strings.Cut(fmt.Sprintf(inPostgres, db.DSN("postgres")), "---\napiVersion: kollect.io")
	s.apply(settings + secret) // which takes the authorizer a moment to see
	s.until(func() error { return s.mayReadSecret("dsn") })
	s.apply(inTwoPlaces)
	s.wantTable("e2e both", "e2e both", "e2e stays", "e2e stays")
	s.wantExport(s.exports(s.ns, "both"), above(0, 2))
	return s
}

// wantTable waits until the table has these rows, as cluster and inventory.
func (s *twoPlaces) wantTable(want ...string) {
	s.Helper()
	s.until(func() error {
		got, err := s.db.Psql(s.Context(), "postgres", "select cluster || ' ' || inventory_name from inventory.inventory_current order by 1")
		if rows := strings.TrimSpace(got); err == nil && rows != strings.Join(want, "\n") {
			err = fmt.Errorf("the table has %q, want %q", rows, want)
		}
		return err
	})
}

// psql runs what an administrator might, who knows the tables.
func (s *twoPlaces) psql(statement string) string {
	s.Helper()
	out, err := s.db.Psql(s.Context(), "postgres", statement)
	s.must(err)
	return strings.TrimSpace(out)
}

// run runs the program kollect.
func (s *twoPlaces) run(args ...string) (status int, out, errs string) {
	s.Helper()
	var stdout, stderr bytes.Buffer
	args = append(args, "--kubeconfig", s.cp.KubeconfigPath(), "-n", s.ns, "--sink-file-root", s.server.SinkFileRoot())
	status = cli.Run(s.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return status, stdout.String(), stderr.String()
}

func (s *twoPlaces) wantRun(status int, word string, args ...string) string {
	s.Helper()
	got, out, errs := s.run(args...)
	if got != status || !strings.Contains(out+errs, word) {
		s.Errorf("kollect %s: status %d, want %d, with %q in\n%s%s", strings.Join(args, " "), got, status, word, out, errs)
	}
	return out
}

// What is exported can be compared, and removed: with its inventory, or because its
// cluster is gone; and nothing else goes with it.
func TestExportsAreComparedAndRemoved(t *testing.T) {
	s := beginTwoPlaces(t)
	s.comparesWithSinks()
	s.forgetsACluster()
	s.deletesAnInventory()
}

func (s *twoPlaces) comparesWithSinks() {
	for _, sink := range []string{"table", "folder"} {
		s.until(func() error { // once what was written is what the API serves
			status, out, errs := s.run("diff", "--inventory", "both", "--sink", sink)
			if status != 0 || !strings.Contains(out, "0 to add, 0 to change, 0 to remove, 2 unchanged") {
				return fmt.Errorf("kollect diff ended with %d: %s%s", status, out, errs)
			}
			return nil
		})
	}
	var fresh struct{ Added []struct{ Kind, Name string } }
	out := s.wantRun(1, "", "diff", "--inventory", "both", "--sink", "fresh", "-o", "json")
	s.must(json.Unmarshal([]byte(out), &fresh))
	if len(fresh.Added) != 2 || fresh.Added[0].Kind != "ConfigMap" || fresh.Added[0].Name != "a" {
		s.Errorf("a first export would bring %+v, want a and b", fresh.Added)
	}

	// Somebody changes the table behind the server's back.
	s.psql("update inventory.rows set row_hash = '\\x00112233445566778899aabbccddeeff' where inventory_name = 'both' and resource_name = 'a'")
	s.psql("update inventory.rows set row_key = '00000000000000000000000000' where inventory_name = 'both' and resource_name = 'b'")
	out = s.wantRun(1, "1 to add, 1 to change, 1 to remove, 0 unchanged", "diff", "--inventory", "both", "--sink", "table")
	for _, word := range []string{"+ ", "~ ", "- 00000000000000000000000000", s.ns + "/a", s.ns + "/b", "of target " + s.ns + "/settings"} {
		if !strings.Contains(out, word) {
			s.Errorf("kollect diff does not say %q:\n%s", word, out)
		}
	}
	s.wantRun(2, "forbidden", "diff", "--inventory", "both", "--sink", "table", "--as", "nobody")
	s.wantRun(2, "not found", "diff", "--inventory", "nothing", "--sink", "table")
}

func (s *twoPlaces) forgetsACluster() {
	for _, statement := range []string{
		"insert into inventory.rows select (jsonb_populate_record(r, '{\"cluster\": \"gone\"}')).* from inventory.rows r where inventory_name = 'stays'",
		"insert into inventory.rows_state select (jsonb_populate_record(s, '{\"cluster\": \"gone\", \"confirmed_at\": \"2026-01-01\"}')).* from inventory.rows_state s where inventory_name = 'stays'",
	} {
		s.psql(statement)
	}
	stale := func() string { return s.psql("select cluster || ' ' || inventory_name from inventory.inventory_stale") }
	if got := stale(); got != "gone stays" {
		s.Errorf("%q is stale, want what nobody reports", got)
	}
	s.wantRun(2, "stop its server", "forget", "--cluster", clusterName, "--sink", "table", "--yes")
	s.wantRun(0, s.ns+"/stays", "forget", "--cluster", "gone", "--sink", "table", "--dry-run")
	s.wantTable("e2e both", "e2e both", "e2e stays", "e2e stays", "gone stays", "gone stays")
	s.wantRun(0, "Forgot "+s.ns+"/stays: 2 rows", "forget", "--cluster", "gone", "--sink", "table", "--yes")
	s.wantTable("e2e both", "e2e both", "e2e stays", "e2e stays")
	if got := stale(); got != "" {
		s.Errorf("%q is stale after it was forgotten", got)
	}
	s.wantRun(0, "Nothing of cluster gone", "forget", "--cluster", "gone", "--sink", "table", "--yes")
}

func (s *twoPlaces) deletesAnInventory() {
	inventories := s.admin.KollectV1alpha1().KollectInventories(s.ns)
	s.db.Down()
	s.must(inventories.Delete(s.Context(), "both", metav1.DeleteOptions{}))
	s.wantCondition("kinv/both", "Exported", "False", "sink table", "set spec.deletionPolicy to Retain")
	s.must(s.db.Up(s.Context()))
	s.until(func() error {
		_, err := inventories.Get(s.Context(), "both", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the inventory is still there: %v", err)
		}
		return nil
	})
	s.wantTable("e2e stays", "e2e stays")
	at := s.exports(s.ns, "both")
	files, err := at.files()
	s.must(err)
	text, err := os.ReadFile(filepath.Join(at.root, at.folder, "_latest.json"))
	if err != nil || len(files) > 0 || !strings.Contains(string(text), `"forgotten": true`) {
		s.Errorf("of the folder are left %v, and the pointer %s: %v", files, text, err)
	}
	s.wantRun(0, "Nothing of cluster", "forget", "--cluster", clusterName, "--sink", "folder", "--inventory", s.ns+"/both", "--yes")
}
