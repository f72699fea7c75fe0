// Command dev runs the development control plane of this checkout: etcd,
// kube-apiserver and kollect-apiserver, and servers that sinks write to if they
// are asked for, in the background, with everything of it in _run. `make up`,
// `make demo` and `make down` call it.
//
// It never touches a process, a cluster or a kubeconfig that it did not make.
// Its invariant: after up, either all of the control plane runs and works, or
// nothing of it runs; after down nothing of it runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"kollect.io/kollect/test/controlplane"
	"kollect.io/kollect/test/services/azurite"
	"kollect.io/kollect/test/services/kafka"
	"kollect.io/kollect/test/services/registry"
)

const usage = "usage: dev up [SINK,...] | demo [SINK,...] | events | down | binaries | kubectls | azurite | kafka | registry"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	d := &dev{root: root, dir: filepath.Join(root, "_run"), out: out}
	if args[0] == "serve-git" && len(args) == 3 {
		return serveGit(ctx, args[1], args[2])
	}
	command := map[string]func(context.Context) error{
		"up":       d.up,
		"demo":     d.demo,
		"events":   d.events,
		"down":     d.down,
		"binaries": d.binaries,
		"kubectls": d.kubectls,
		"azurite":  d.azurite,
		"kafka":    d.kafka,
		"registry": d.registry,
	}[args[0]]
	if len(args) > 1 && (args[0] == "up" || args[0] == "demo") {
		if err := d.want(args[1:]); err != nil {
			return err
		}
	} else if len(args) > 1 {
		command = nil
	}
	if command == nil {
		return errors.New(usage)
	}
	// One of them at a time; not in _run, which down removes.
	if err := os.MkdirAll(filepath.Join(root, "_bin"), 0o755); err != nil {
		return err
	}
	unlock, err := controlplane.Lock(ctx, out, filepath.Join(root, "_bin", "dev.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	return command(ctx)
}

// dev is the development control plane of the checkout at root, in dir.
type dev struct {
	root, dir string
	out       io.Writer
	wanted    []service // whose sinks up and demo are to add
}

func (d *dev) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// binaries finds or builds what a control plane runs, and no more.
func (d *dev) binaries(ctx context.Context) error {
	_, err := controlplane.Binaries(ctx, d.out)
	return err
}

// kubectls finds or builds what the served resources are read with in tests.
func (d *dev) kubectls(ctx context.Context) error {
	_, err := controlplane.Kubectls(ctx, d.out)
	return err
}

// azurite fetches the server of blobs that tests run.
func (d *dev) azurite(ctx context.Context) error {
	_, err := azurite.Fetch(ctx, d.out)
	return err
}

// kafka fetches the broker that tests run.
func (d *dev) kafka(ctx context.Context) error {
	_, err := kafka.Fetch(ctx, d.out)
	return err
}

// registry fetches the registry of schemas that tests run.
func (d *dev) registry(ctx context.Context) error {
	_, err := registry.Fetch(ctx, d.out)
	return err
}

// demo is up with Git's server, and the samples with what there is to see of them.
func (d *dev) demo(ctx context.Context) error {
	d.wanted = append(d.wanted, gitService{})
	cp, err := d.ensure(ctx)
	if err != nil {
		return err
	}
	show := &demonstration{
		out:        d.out,
		kubectl:    cp.KubectlCommand,
		kubeconfig: cp.KubeconfigPath(),
		exports:    cp.SinkFileRoot(),
		aggregate:  cp.AggregateClusterRoles,
		refer:      func(ctx context.Context) error { return d.refer(ctx, cp) },
		query:      d.query,
		sinks:      func(ctx context.Context) error { return d.showSinks(ctx, cp) },
	}
	return show.run(ctx)
}
