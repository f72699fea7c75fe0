package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// missing is what to expect of an object that comes and goes.
func missing(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) }

// inNamespace puts the scene's namespace in the place of NS.
func (s *scene) inNamespace(text string) string { return strings.ReplaceAll(text, "NS", s.ns) }

// wantEvent waits for a warning about an object, kind/name, with all of the
// words, the first of which is its reason.
func (s *scene) wantEvent(object string, words ...string) {
	s.Helper()
	_, name, _ := strings.Cut(object, "/")
	s.until(func() error {
		out, err := s.cp.Kubectl(s.Context(), "get", "events", "-n", s.ns, "--field-selector", "type=Warning,involvedObject.name="+name+",reason="+words[0],
			"-o", `jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}`)
		if err != nil {
			return err
		}
		return wantWords("events of "+object, string(out), words...)
	})
}

// canI asks kube-apiserver, with the words after kubectl auth can-i.
func (s *scene) canI(user, what, want string) {
	s.Helper()
	args := append([]string{"auth", "can-i", "--as=" + user}, strings.Fields(what)...)
	s.until(func() error { // authorizers take a moment to see a new binding
		out, _ := s.cp.KubectlCommand(s.Context(), args...).Output() // no is an exit status too
		if string(out) != want {
			return fmt.Errorf("may %s %s: got %q, want %q", user, what, out, want)
		}
		return nil
	})
}

// kubectl does with the served kinds what it does with others.
func TestKubectl(t *testing.T) {
	s := begin(t, "kubectl")
	const rows = 12
	for i := range rows {
		s.put(fmt.Sprintf("settings-%02d", i), fmt.Sprint(i))
	}
	s.apply(settings + exported("lake", "json") + `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: NS, labels: {e2e: NS}}
spec: {namespaces: {names: [NS]}}
`)
	for _, test := range []struct {
		args string
		want []string // in this order
	}{
		{"wait --for=create --timeout=60s inv/lake -n NS", nil},
		{"wait --for=condition=Synced --timeout=60s inv/lake -n NS", []string{"inventory.inventory.kollect.io/lake condition met"}},
		{"wait --for=condition=Exported --timeout=60s inv/lake -n NS", []string{"condition met"}},
		{"wait --for=condition=Synced --timeout=60s cinv/NS", []string{"condition met"}},
		{"get inv,cinv -A", []string{
			"NAMESPACE", "NAME", "ROWS", "KINDS", "GENERATION", "HASH", "SYNCED", "STALE", "EXPORTED", "AGE",
			"NS", "inventory.inventory.kollect.io/lake", "12", "ConfigMap=12", "True", "False",
			"clusterinventory.inventory.kollect.io/NS", "12",
		}},
		{"get invrow -n NS -l app=e2e --field-selector source.name=settings-07", []string{"KIND", "SOURCE", "TARGET", "SIZE", "VALUE", "ConfigMap", "settings-07", "NS/settings", "1", "7"}},
		{"get invrow -n NS -l app=none", nil},
		{"explain inventoryrows.source", []string{"KIND:", "InventoryRow", "FIELD: source <Source>", "creationTimestamp", "uid"}},
		{"get inv lake -n NS -o yaml", []string{"apiVersion: inventory.kollect.io/v1alpha1", "kind: Inventory", "contentHash: sha256:", "sinks:"}},
		{"describe inv lake -n NS", []string{"Name:", "lake", "Content Hash:"}},
		{"get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventoryrows?limit=1", []string{`"kind":"InventoryRowList"`, `"remainingItemCount":11`}},
		{"get --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventories/lake/snapshot?format=csv", []string{"cluster,inventory_namespace,", "settings-00", "settings-11"}},
	} {
		out := s.cp.MustKubectl(t, strings.Fields(s.inNamespace(test.args))...)
		rest := out
		for _, want := range test.want {
			_, after, found := strings.Cut(rest, s.inNamespace(want))
			if !found {
				t.Errorf("kubectl %s: no %q where it should be:\n%s", test.args, want, out)
				break
			}
			rest = after
		}
	}
	t.Run("pages", s.pages)
	t.Run("watch", s.watch)
	t.Run("writes", s.writes)
	t.Run("rights", s.rights)
}

func (s *scene) pages(t *testing.T) {
	cmd := s.cp.KubectlCommand(t.Context(), "get", "invrow", "-n", s.ns, "--chunk-size=5", "--no-headers", "-v=6")
	var requests bytes.Buffer
	cmd.Stderr = &requests
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl get: %v\n%s", err, requests.String())
	}
	if got := bytes.Count(out, []byte("\n")); got != 12 {
		t.Errorf("got %d rows, want 12:\n%s", got, out)
	}
	if got := strings.Count(requests.String(), "continue="); got != 2 {
		t.Errorf("got %d requests for further pages, want 2:\n%s", got, requests.String())
	}
}

func (s *scene) watch(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := s.cp.KubectlCommand(ctx, "get", "invrow", "-A", "-w", "--output-watch-events")
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // it was killed
	}()
	changes := []struct {
		make func() error
		want string
	}{
		{func() error { return s.tryPut(ctx, s.ns, "settings-03", "changed") }, "MODIFIED changed"},
		{func() error { return s.tryPut(ctx, s.ns, "settings-99", "new") }, "ADDED new"},
		{func() error {
			return s.core.CoreV1().ConfigMaps(s.ns).Delete(ctx, "settings-99", metav1.DeleteOptions{})
		}, "DELETED new"},
	}
	next, seen := -1, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[1] != s.ns {
			continue
		}
		if seen++; seen < 12 {
			continue
		}
		if next >= 0 {
			event, value, _ := strings.Cut(changes[next].want, " ")
			if words[0] != event || !strings.Contains(lines.Text(), " "+value+" ") {
				t.Fatalf("got %q, want %s", lines.Text(), changes[next].want)
			}
		}
		if next++; next == len(changes) {
			return
		}
		if err := changes[next].make(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the watch ended before change %d", next)
}

func (s *scene) writes(t *testing.T) {
	list, err := s.admin.InventoryV1alpha1().InventoryRows(s.ns).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("list a row: %v", err)
	}
	row := list.Items[0].Name
	for _, args := range []string{
		"delete invrow " + row, "delete invrow --all", "delete inv lake", "label invrow " + row + " a=b", "annotate inv lake a=b",
	} {
		_, err := s.cp.Kubectl(t.Context(), append(strings.Fields(args), "-n", s.ns)...)
		if err == nil || !strings.Contains(err.Error(), "MethodNotAllowed") {
			t.Errorf("kubectl %s: got %v, want MethodNotAllowed", args, err)
		}
	}
	rest := s.core.CoreV1().RESTClient()
	path := "/apis/inventory.kollect.io/v1alpha1/namespaces/" + s.ns + "/inventoryrows"
	for what, err := range map[string]error{
		"create":     rest.Post().AbsPath(path).Body([]byte(`{"apiVersion":"inventory.kollect.io/v1alpha1","kind":"InventoryRow"}`)).Do(t.Context()).Error(),
		"update":     rest.Put().AbsPath(path, row).Body([]byte(`{}`)).Do(t.Context()).Error(),
		"delete all": rest.Delete().AbsPath(path).Do(t.Context()).Error(),
	} {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("%s: got %v, want 405", what, err)
		}
	}
}

func (s *scene) rights(t *testing.T) {
	s.cp.MustKubectl(t, "create", "rolebinding", "viewer", "-n", s.ns, "--clusterrole=view", "--user=viewer")
	local := *s
	local.T = t
	local.canI("viewer", "list inventoryrows.inventory.kollect.io -n "+s.ns, "yes\n")
	for _, test := range []struct {
		user, args string
		allowed    bool
	}{
		{"viewer", "get invrow,inv -n " + s.ns, true},
		{"viewer", "get invrow -A", false},
		{"viewer", "get cinvrow", false},
		{"viewer", "get invrow -n team-y", false},
		{"stranger", "get invrow -n " + s.ns, false},
		{"stranger", "get inv lake -n " + s.ns, false},
		{"stranger", "get cinv", false},
	} {
		_, err := s.cp.Kubectl(t.Context(), append(strings.Fields(test.args), "--as="+test.user)...)
		forbidden := err != nil && strings.Contains(err.Error(), "Forbidden")
		if test.allowed && err != nil || !test.allowed && !forbidden {
			t.Errorf("%s: kubectl %s: got %v, want allowed=%t", test.user, test.args, err, test.allowed)
		}
	}
}
