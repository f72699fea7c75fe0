package kubernetes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// writes are commands that would change an object. NAME is its resource and name,
// KIND its resource, FILE a manifest of it.
var writes = []string{
	"create -f FILE",
	"apply -f FILE",
	"apply --server-side -f FILE",
	"diff -f FILE",
	"replace -f FILE",
	"replace --force -f FILE",
	"edit NAME",
	"patch NAME --type=merge -p {\"metadata\":{\"labels\":{\"a\":\"b\"}}}",
	"patch NAME --subresource=status --type=merge -p {}",
	"label NAME a=b",
	"scale NAME --replicas=3",
	"delete NAME",
	"delete KIND --all",
}

// twin is a resource to which writes are tried.
type twin struct {
	resource, name, manifest string
	same                     *strings.Replacer // what differs in messages
}

// componentStatuses are the one resource of kube-apiserver that is only read: what
// kubectl says of them is what it has to say of ours.
var componentStatuses = twin{
	resource: "componentstatuses", name: "etcd-0",
	manifest: "apiVersion: v1\nkind: ComponentStatus\nmetadata: {name: etcd-0}\n",
	same:     strings.NewReplacer("componentstatuses", "RESOURCE", "etcd-0", "NAME", `"/v1, `, `"VERSION, `, "ComponentStatus", "KIND"),
}

func (k *kubectl) clusterInventories() twin {
	const version = "inventory.kollect.io/v1alpha1"
	return twin{
		resource: "clusterinventories", name: k.ns,
		manifest: "apiVersion: " + version + "\nkind: ClusterInventory\nmetadata: {name: " + k.ns + "}\nstatus: {cluster: x, contentHash: x, rows: 0}\n",
		same: strings.NewReplacer("clusterinventories.inventory.kollect.io", "RESOURCE", "clusterinventories", "RESOURCE",
			k.ns, "NAME", version+", ", "VERSION, ", "ClusterInventory", "KIND"),
	}
}

// editor is an editor that adds a label.
const editor = `#!/bin/sh
awk '{print} /^metadata:/ {print "  labels: {edited: \"true\"}"}' "$1" >"$1.new" && mv "$1.new" "$1"
`

func (k *kubectl) refusesWrites() {
	dir := k.TempDir()
	path := filepath.Join(dir, "editor")
	if err := os.WriteFile(path, []byte(editor), 0o755); err != nil {
		k.Fatal(err)
	}
	k.env = []string{"KUBE_EDITOR=" + path, "TMPDIR=" + dir}
	before := k.run("get", "cinv", k.ns, "-o", "yaml").stdout
	for _, args := range writes {
		want, wantCode := k.write(componentStatuses, args)
		got, code := k.write(k.clusterInventories(), args)
		if got != want || code != wantCode {
			k.Errorf("kubectl %s: got exit status %d and\n%s\nwant %d and\n%s", args, code, got, wantCode, want)
		}
		if code == 0 || !strings.Contains(got, "the server does not allow this method on the requested resource") &&
			!strings.Contains(got, "the server could not find the requested resource") {
			k.Errorf("kubectl %s: got exit status %d and\n%s", args, code, got)
		}
	}
	if after := k.run("get", "cinv", k.ns, "-o", "yaml").stdout; after != before {
		k.Errorf("after writes that were refused: got\n%s\nwant\n%s", after, before)
	}
	for _, a := range []assertion{
		{args: "delete inv apps -n NS", fail: true, err: methodNotAllowed},
		{args: "delete invrow --all -n NS", fail: true, err: methodNotAllowed},
		{args: "delete arow ROW(one) -n NS", fail: true, err: methodNotAllowed},
		{args: "label cinvrow CROW(one) a=b", fail: true, err: methodNotAllowed},
		{args: "delete --raw /apis/inventory.kollect.io/v1alpha1/namespaces/NS/inventoryrows/ROW(one)", fail: true, err: methodNotAllowed},
	} {
		a.check(k)
	}
}

const methodNotAllowed = "Error from server (MethodNotAllowed): the server does not allow this method on the requested resource"

var editedFile = regexp.MustCompile(`kubectl-edit-\d+`)

// write tries a command at a resource, and returns its exit status and what it
// said, without what the two resources can't have in common.
func (k *kubectl) write(to twin, args string) (string, int) {
	k.Helper()
	dir := k.TempDir()
	file := filepath.Join(dir, "object.yaml")
	if err := os.WriteFile(file, []byte(to.manifest), 0o644); err != nil {
		k.Fatal(err)
	}
	all := strings.Fields(args)
	for i := range all {
		switch all[i] {
		case "NAME":
			all[i] = to.resource + "/" + to.name
		case "KIND":
			all[i] = to.resource
		case "FILE":
			all[i] = file
		}
	}
	said := k.run(all...)
	var lines []string
	for line := range strings.Lines(said.String()) {
		line = editedFile.ReplaceAllString(to.same.Replace(strings.ReplaceAll(line, dir, "DIR")), "kubectl-edit")
		deprecation := strings.HasPrefix(line, "Warning: v1 KIND is deprecated")
		patch := strings.HasPrefix(line, "{")
		if !deprecation && !patch && !slices.Contains(lines, line) { // all of ours are one, there are three of theirs
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ""), said.code
}
