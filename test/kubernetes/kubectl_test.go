package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kollect.io/kollect/test/controlplane"
)

// kubectl is a kubectl of one version, at work in a scene.
type kubectl struct {
	*scene
	version, path string
	rows          map[string]string // names of rows by those of their objects
	clusterRow    string            // of the object one
	file          string            // with what is filed
	env           []string
}

// filed are two served objects in a file.
const filed = `
apiVersion: inventory.kollect.io/v1alpha1
kind: Inventory
metadata: {name: apps, namespace: NS}
---
apiVersion: inventory.kollect.io/v1alpha1
kind: ClusterInventory
metadata: {name: NS}
`

// shelf is what is read with kubectl: three objects that sort in three ways.
var shelf = []struct {
	name         string
	labels, data map[string]string
}{
	{"one", map[string]string{"app": "a", "rank": "3"}, map[string]string{"value": "red", "size": "2"}},
	{"two", map[string]string{"app": "a", "rank": "2"}, map[string]string{"value": "blue", "size": "3"}},
	{"three", map[string]string{"app": "b", "rank": "1"}, map[string]string{"value": "green", "size": "10"}},
}

// The same assertions hold for the newest kubectl and for an older one. Where one
// of them says something else, the assertion names the version.
func TestKubectl(t *testing.T) {
	t.Parallel()
	for version, path := range shared.kubectls {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			newKubectl(t, version, path).test(t)
		})
	}
}

func newKubectl(t *testing.T, version, path string) *kubectl {
	k := &kubectl{scene: begin(t, "kubectl-"+strings.ReplaceAll(version, ".", "-")), version: version, path: path, rows: map[string]string{}}
	for _, object := range shelf {
		rows := k.putWait(object.name, object.labels, object.data)
		k.rows[object.name] = rows[0].GetName()
		if object.name == "one" {
			k.clusterRow = rows[1].GetName()
		}
	}
	k.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: NS-empty}\n")
	k.until(func() error {
		head, err := k.run("get", "inv", inventory, "-n", k.ns, "-o", "jsonpath={.status.rows}").done()
		if err == nil && head != "3" {
			err = errors.New("the head has " + head + " rows")
		}
		return err
	})
	k.until(func() error { // events are written in the background
		events, err := k.run("events", "-n", k.ns, "--for=kinv/"+inventory).done()
		if err == nil && !strings.Contains(events, "Ready") {
			err = errors.New("no event says Ready")
		}
		return err
	})
	file := filepath.Join(k.TempDir(), "objects.yaml")
	k.must(os.WriteFile(file, []byte(k.inNamespace(filed)), 0o644))
	k.file = file
	return k
}

// in returns the kubectl for a part of its test.
func (k *kubectl) in(t *testing.T) *kubectl {
	part := *k
	part.scene = k.scene.in(t)
	return &part
}

func (k *kubectl) test(t *testing.T) {
	if got := k.run("version", "--client").stdout; !strings.Contains(got, "Client Version: "+k.version+"\n") {
		t.Fatalf("got %s, want %s", got, k.version)
	}
	t.Run("read", func(t *testing.T) { k.in(t).reads() })
	t.Run("changes", func(t *testing.T) { k.in(t).watchesChanges() })
	t.Run("compression", func(t *testing.T) {
		k := k.in(t)
		for _, object := range shelf {
			k.putWait(object.name, object.labels, map[string]string{"value": strings.Repeat("a", 50<<10)})
		}
		for _, a := range compressionAssertions {
			a.check(k)
		}
	})
}

// reads checks what changes nothing.
func (k *kubectl) reads() {
	for name, table := range map[string][]assertion{
		"get":       getAssertions,
		"output":    outputAssertions,
		"select":    selectAssertions,
		"sort":      sortAssertions,
		"chunk":     chunkAssertions,
		"namespace": namespaceAssertions,
		"describe":  describeAssertions,
		"wait":      waitAssertions,
		"events":    eventsAssertions,
		"watch":     watchAssertions,
		"discovery": discoveryAssertions,
	} {
		k.Run(name, func(t *testing.T) {
			t.Parallel()
			k := k.in(t)
			for _, a := range table {
				a.check(k)
			}
		})
	}
	k.Run("follow", func(t *testing.T) {
		t.Parallel()
		k.in(t).beginsWatches()
	})
	k.Run("writes", func(t *testing.T) {
		t.Parallel()
		k.in(t).refusesWrites()
	})
}

// assertion is what a command of kubectl says. NS stands for the namespace of the
// scene, ROW(x) for the name of the row of the ConfigMap x and CROW(one) for that
// of its row in the cluster inventory. FILE is a file with what is filed.
type assertion struct {
	args string // separated by blanks; a part in '' is one
	fail bool   // its exit status is 1, and not 0
	// What it prints has, in this order, what both, out (standard output) and err
	// (standard error) say, and nothing of lacks. Where is is set, standard output is
	// that, but for blanks at its ends.
	is, both, out, err string
	lacks              string
	only               string // kubectl's version; empty: any
}

// separator is between the parts of an assertion.
const separator = " | "

func (a assertion) check(k *kubectl) {
	k.Helper()
	if a.only != "" && a.only != k.version {
		return
	}
	args := k.split(a.args)
	got := k.run(args...)
	what := "kubectl " + strings.Join(args, " ")
	if want := 0; got.code != want != a.fail {
		k.Errorf("%s: exit status %d\n%s", what, got.code, shortened(got.String()))
	}
	if want := k.expand(a.is); a.is != "" && strings.TrimSpace(got.stdout) != want {
		k.Errorf("%s: got %q, want %q", what, got.stdout, want)
	}
	wantParts(k, what, got.String(), k.expand(a.both))
	wantParts(k, what+": standard output", got.stdout, k.expand(a.out))
	wantParts(k, what+": standard error", got.stderr, k.expand(a.err))
	for _, part := range strings.Split(k.expand(a.lacks), separator) {
		if part != "" && strings.Contains(got.String(), part) {
			k.Errorf("%s: %q should not be in\n%s", what, part, shortened(got.String()))
		}
	}
}

// wantParts wants the parts, in order.
func wantParts(t testing.TB, what, got, parts string) {
	t.Helper()
	rest := got
	for _, part := range strings.Split(parts, separator) {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%s: no %q where it should be:\n%s", what, part, shortened(got))
			return
		}
		rest = after
	}
}

// shortened leaves of what was printed what shows an error.
func shortened(s string) string { return s[:min(len(s), 4000)] }

var (
	word    = regexp.MustCompile(`(?:'[^']*'|[^ '])+`)
	rowName = regexp.MustCompile(`\bROW\((\w+)\)`)
)

func (k *kubectl) split(args string) []string {
	all := word.FindAllString(k.expand(args), -1)
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "'", "")
	}
	return all
}

func (k *kubectl) expand(text string) string {
	text = strings.NewReplacer("CROW(one)", k.clusterRow, "FILE", k.file).Replace(k.inNamespace(text))
	return rowName.ReplaceAllStringFunc(text, func(match string) string {
		return k.rows[rowName.FindStringSubmatch(match)[1]]
	})
}

// ran is what a command has said.
type ran struct {
	stdout, stderr string
	code           int
}

func (r ran) String() string { return r.stderr + r.stdout }

// done returns the standard output, or an error if the exit status is not 0.
func (r ran) done() (string, error) {
	if r.code != 0 {
		return r.stdout, errors.New(r.stderr)
	}
	return r.stdout, nil
}

func (k *kubectl) run(args ...string) ran {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), deadline)
	defer cancel()
	cmd := k.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		k.Fatalf("run kubectl %s: %v", strings.Join(args, " "), err)
	}
	return ran{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// command returns a kubectl of the version that has a cache of its own.
func (k *kubectl) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := k.cp.KubectlCommand(ctx, args...)
	cmd.Path, cmd.Err = k.path, nil
	cmd.Env = append(append(cmd.Env, "KUBECACHEDIR="+k.cp.Dir()+"/"+k.version), k.env...)
	return cmd
}

// newest and older are the versions of which assertions speak.
const (
	newest = controlplane.KubernetesVersion
	older  = controlplane.OlderVersion
)
