package main

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed demo/*.yaml
var demoManifests embed.FS

// demonstration runs kubectl for all to see.
type demonstration struct {
	out        io.Writer
	kubectl    func(context.Context, ...string) *exec.Cmd
	kubeconfig string
	exports    string                      // the folder of the file:// sinks
	aggregate  func(context.Context) error // does a controller manager's work on ClusterRoles
	refer      func(context.Context) error // has the platform's inventory go to those servers
	query      func(ctx context.Context, sql string) error
	sinks      func(context.Context) error // shows what is in the servers that sinks write to
}

// run applies the samples, waits for the snapshots and shows what can be asked.
func (d *demonstration) run(ctx context.Context) error {
	if err := d.apply(ctx); err != nil {
		return err
	}
	d.say("Snapshots are synced when the first list of every target is complete, and exported when the sink has them:")
	for _, wait := range [][]string{
		{"wait", "--for=condition=Ready", "--timeout=60s", "ktgt", "--all", "-A"},
		{"wait", "--for=condition=Synced", "--timeout=60s", "kinv", "--all", "-A"},
		{"wait", "--for=condition=Exported", "--timeout=60s", "kcinv/platform"},
		{"wait", "--for=condition=Exported", "--timeout=60s", "kinv/apps", "-n", "team-a"},
	} {
		if err := d.show(ctx, wait...); err != nil {
			return err
		}
	}
	d.say("The heads of all inventories, from the live snapshots:")
	if err := d.show(ctx, "get", "inventories,clusterinventories", "-A"); err != nil {
		return err
	}
	d.say("Rows of team-a's web tier; the promoted attributes are columns:")
	if err := d.show(ctx, "get", "invrow", "-n", "team-a", "-l", "tier=web"); err != nil {
		return err
	}
	d.say("Alice may list what is in team-a, so of the platform's inventory, as of any other, she sees those rows:")
	if err := d.show(ctx, "get", "arow", "-A", "--as=alice", "--field-selector", "inventory=platform,source.kind=Deployment"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.awaitExport, d.watch, d.awaitExport, d.files} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := d.sinks(ctx); err != nil {
		return err
	}
	d.next()
	return nil
}

func (d *demonstration) apply(ctx context.Context) error {
	names, err := fs.Glob(demoManifests, "demo/*.yaml")
	if err != nil {
		return err
	}
	var manifests []string
	for _, name := range names {
		manifest, err := demoManifests.ReadFile(name)
		if err != nil {
			return err
		}
		manifests = append(manifests, string(manifest))
	}
	d.say("Two tenants, a kind of our own, %d applications; profiles, targets, inventories and sinks:", len(demoApps()))
	if err := d.applyYAML(ctx, manifests[0]); err != nil {
		return err
	}
	if _, err := d.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s", "crd/caches.demo.example.com").CombinedOutput(); err != nil {
		return fmt.Errorf("wait for the demo's CRD: %w", err)
	}
	if err := d.aggregate(ctx); err != nil {
		return err
	}
	workloads, err := demoWorkloads()
	if err != nil {
		return err
	}
	for _, manifest := range append([]string{workloads}, manifests[1:]...) {
		if err := d.applyYAML(ctx, manifest); err != nil {
			return err
		}
	}
	return d.refer(ctx)
}

// applyYAML applies a stream of documents and says how many.
func (d *demonstration) applyYAML(ctx context.Context, manifest string) error {
	// What the demo changed before, as an image, is as at first again.
	cmd := d.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apply the samples: %w\n%s", err, out)
	}
	fmt.Fprintf(d.out, "  applied %d objects\n", bytes.Count(out, []byte("\n")))
	return nil
}

// watch shows a change that is made while kubectl watches.
func (d *demonstration) watch(ctx context.Context) error {
	d.say("A watch sees the change of an image that is made meanwhile:")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := []string{"get", "invrow", "-n", "team-a", "-l", "app=shop,tier=web", "--field-selector", "source.kind=Deployment", "-w"}
	fmt.Fprintf(d.out, "$ kubectl %s\n", strings.Join(args, " "))
	cmd := d.kubectl(ctx, args...)
	cmd.WaitDelay = time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("watch rows: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	image := "nginx:2.0." + fmt.Sprint(time.Now().Unix()%1000)
	for seen := 0; lines.Scan(); {
		fmt.Fprintln(d.out, lines.Text())
		if seen++; seen == 2 { // the header and the row as it was
			if out, err := d.kubectl(ctx, "set", "image", "-n", "team-a", "deployment/shop", "main="+image).CombinedOutput(); err != nil {
				return fmt.Errorf("change an image: %w\n%s", err, out)
			}
		}
		if strings.Contains(lines.Text(), image) {
			cancel()
			_ = cmd.Wait() // it was ended by us
			return nil
		}
	}
	return fmt.Errorf("the watch ended before it showed %s: %w", image, cmd.Wait())
}

// files shows what was exported.
func (d *demonstration) files(ctx context.Context) error {
	d.say("The same snapshots as files; _latest.json names the current one:")
	err := filepath.WalkDir(d.exports, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(d.exports, path)
		fmt.Fprintf(d.out, "  %8d  %s\n", info.Size(), relative)
		return err
	})
	if err != nil {
		return fmt.Errorf("show the exported files: %w", err)
	}
	latest, err := filepath.Glob(filepath.Join(d.exports, "lake", "inventory", "*", "ns=team-a", "name=apps", "_latest.json"))
	if err != nil || len(latest) != 1 {
		return fmt.Errorf("find the pointer to the current snapshot: %d files (%w)", len(latest), err)
	}
	content, err := os.ReadFile(latest[0])
	if err != nil {
		return fmt.Errorf("show the pointer to the current snapshot: %w", err)
	}
	fmt.Fprintf(d.out, "\n%s\n", bytes.TrimSpace(content))
	d.say("And in SQL, by DuckDB:")
	return d.query(ctx, fmt.Sprintf(demoSQL, filepath.Join("_run", filepath.Base(d.exports), "lake")))
}

func (d *demonstration) next() {
	fmt.Fprintf(d.out, `
What to try next:
  export KUBECONFIG=%s
  kubectl explain inventoryrows.source
  kubectl get invrow -A -o wide
  kubectl get cinvrow --field-selector source.kind=Cache
  kubectl get arow -A -w --as=alice
  kubectl get inv apps -n team-a -o yaml
  kubectl scale deployment shop -n team-a --replicas=5 && kubectl get kinv,inv -n team-a
  kubectl get kollect -A                # the configuration, with its state
  make down                             # ends all of it
`, d.kubeconfig)
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.out, "\n"+format+"\n\n", args...)
}

// show runs kubectl and prints the command and its output.
func (d *demonstration) show(ctx context.Context, args ...string) error {
	fmt.Fprintf(d.out, "$ kubectl %s\n", strings.Join(args, " "))
	cmd := d.kubectl(ctx, args...)
	cmd.Stdout, cmd.Stderr = d.out, d.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
