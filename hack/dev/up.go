package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
)

// up starts the control plane, unless it is there and works, and tells how to
// use it.
func (d *dev) up(ctx context.Context) error {
	cp, err := d.ensure(ctx)
	if err != nil {
		return err
	}
	d.explain(cp)
	return d.explainSinks(ctx, cp)
}

// ensure returns the control plane that is there and works, or a new one, with the
// servers that are wanted. If there is an error with the control plane nothing of
// it runs on, and only its logs stay.
func (d *dev) ensure(ctx context.Context) (*controlplane.ControlPlane, error) {
	cp, err := d.ensureControlPlane(ctx)
	if err != nil {
		return nil, err
	}
	return cp, d.addSinks(ctx, cp)
}

func (d *dev) ensureControlPlane(ctx context.Context) (*controlplane.ControlPlane, error) {
	start := time.Now()
	cp, err := controlplane.Open(d.dir)
	switch {
	case err == nil:
		sick := healthy(ctx, cp)
		if sick == nil {
			d.say("The control plane is already up.")
			return cp, cp.AggregateClusterRoles(ctx)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.say("There is a control plane that does not work (%v); starting anew.", sick)
		if err := d.end(cp); err != nil {
			return nil, err
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	cp, err = d.start(ctx)
	if err != nil {
		return nil, errors.Join(err, d.cleanUp(cp))
	}
	d.say("The control plane is up after %s.", time.Since(start).Round(time.Second))
	return cp, nil
}

// start starts everything; what it returns beside an error is what runs by then.
func (d *dev) start(ctx context.Context) (*controlplane.ControlPlane, error) {
	binaries, err := controlplane.Binaries(ctx, d.out)
	if err != nil {
		return nil, err
	}
	kollect, err := controlplane.KollectBinary(ctx, d.out, false)
	if err != nil {
		return nil, err
	}
	d.say("Starting etcd and kube-apiserver.")
	cp, err := controlplane.Start(ctx, controlplane.Options{Dir: d.dir, Detach: true, Binaries: binaries, Log: d.out})
	if err != nil {
		return nil, err
	}
	d.say("Applying the CRDs.")
	if err := controlplane.ApplyCRDs(ctx, cp.Config(), filepath.Join(d.root, "artifacts", "crds")); err != nil {
		return cp, err
	}
	d.say("Starting kollect-apiserver.")
	k, err := cp.StartKollect(ctx, controlplane.KollectOptions{
		Binary: kollect, Args: []string{"--sink-allowed-cidrs=0.0.0.0/0,::/0,127.0.0.1/32"},
	})
	if err != nil {
		return cp, err
	}
	d.say("Registering its API.")
	if err := k.Register(ctx); err != nil {
		return cp, fmt.Errorf("%w; the log of kollect-apiserver ends so:\n%s", err, child.Tail(k.LogPath(), 40))
	}
	return cp, controlplane.AwaitOpenAPI(ctx, cp.Config(), controlplane.KollectGroup, controlplane.KollectVersion)
}

// cleanUp ends what was started and removes all of it but the logs.
func (d *dev) cleanUp(cp *controlplane.ControlPlane) error {
	if cp != nil {
		if err := d.end(cp); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(d.dir, e.Name())
		if e.Name() == "log" {
			d.say("The logs are in %s.", path)
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}

// healthy says what of the control plane does not work.
func healthy(ctx context.Context, cp *controlplane.ControlPlane) error {
	running := map[string]bool{}
	for _, p := range cp.Processes() {
		running[p.Name] = p.Running
	}
	for _, name := range []string{"etcd", "kube-apiserver", controlplane.Service} {
		if !running[name] {
			return fmt.Errorf("%s does not run", name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		return err
	}
	for _, path := range []string{"/readyz", "/apis/" + controlplane.KollectGroup + "/" + controlplane.KollectVersion} {
		if err := client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Error(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// explain tells how to use the control plane.
func (d *dev) explain(cp *controlplane.ControlPlane) {
	kubectl := cp.Binaries().Kubectl
	if filepath.Dir(filepath.Dir(kubectl)) == filepath.Join(d.root, "_bin") {
		d.say("\nkubectl was built with it; to have it on PATH:\n  export PATH=%s:$PATH", filepath.Dir(kubectl))
	}
	d.say(`
To use it (kubectl is %s):
  export KUBECONFIG=%s
Try:
  kubectl get inventories,clusterinventories -A
  kubectl explain inventoryrows.source
  kubectl api-resources | grep kollect
There is no controller manager: Deployments make no Pods, deleted namespaces stay, and a
ClusterRole that others aggregate counts after the next make up.
Its logs are in %s. To end it: make down`, kubectl, cp.KubeconfigPath(), filepath.Join(d.dir, "log"))
}
