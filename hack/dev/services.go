package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
	"kollect.io/kollect/test/services/nats"
	"kollect.io/kollect/test/services/postgres"
)

// service is a server that a KollectClusterSink of its name writes to.
type service interface {
	name() string
	// start starts the server, and returns the manifests of its sink.
	start(context.Context, *dev, *controlplane.ControlPlane) (string, error)
	// address returns where it is, as the sink has it.
	address(context.Context, *controlplane.ControlPlane) (string, error)
	// reading says how to read what is there.
	reading(address string) string
	// show shows some of what is there.
	show(ctx context.Context, d *dev, address string) error
}

// services are those that up can start, in the order in which the demo shows them.
var services = []service{postgresService{}, natsService{}, kafkaService{}, httpService{}, gitService{}}

// want notes which services are asked for, in one list or several.
func (d *dev) want(lists []string) error {
	var known []string
	for _, s := range services {
		known = append(known, s.name())
	}
	for _, name := range strings.FieldsFunc(strings.Join(lists, ","), func(r rune) bool { return r == ',' || r == ' ' }) {
		i := slices.Index(known, name)
		if i < 0 {
			return fmt.Errorf("there is no server %q for sinks: choose of %s", name, strings.Join(known, ", "))
		}
		d.wanted = append(d.wanted, services[i])
	}
	return nil
}

// need has a function of hack/lib.sh look for programs, or install them.
func (d *dev) need(ctx context.Context, function string) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -o errexit -o nounset -o pipefail; source hack/lib.sh; "+function)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.root, d.out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("look for programs: %w", err)
	}
	return nil
}

type postgresService struct{}

func (postgresService) name() string { return "postgres" }

func (p postgresService) start(ctx context.Context, d *dev, cp *controlplane.ControlPlane) (string, error) {
	if err := d.need(ctx, "need_postgres"); err != nil {
		return "", err
	}
	folder, err := cp.TempDir(p.name()) // root's PostgreSQL runs as somebody else
	if err != nil {
		return "", err
	}
	server, err := postgres.Make(ctx, folder)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: postgres-sink, namespace: kollect-system}
stringData: {dsn: %q}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: postgres}
spec: {type: postgres, postgres: {}, secretRef: {name: postgres-sink, namespace: kollect-system}}
`, server.DSN("postgres")), cp.StartProgram(ctx, controlplane.Program{
			Name: p.name(), Command: server.Command(), Ready: server.Ready, Quit: postgres.Quit,
		})
}

func (postgresService) address(ctx context.Context, cp *controlplane.ControlPlane) (string, error) {
	out, err := cp.Kubectl(ctx, "get", "secret", "postgres-sink", "-n", "kollect-system", "-o", "go-template={{.data.dsn | base64decode}}")
	return string(out), err
}

const demoQuery = "select resource_namespace, kind, resource_name, attributes->>'image' as image from inventory_current where kind = 'Deployment' order by 1, 3 limit 5"

func (postgresService) reading(address string) string {
	return fmt.Sprintf("psql '%s' -c \"%s\"", address, demoQuery)
}

func (postgresService) show(ctx context.Context, d *dev, address string) error {
	programs, err := postgres.Programs()
	if err != nil {
		return err
	}
	psql := exec.CommandContext(ctx, filepath.Join(programs, "psql"), "--no-psqlrc", "--pset=pager=off", "--command="+demoQuery, address)
	psql.Stdout, psql.Stderr = d.out, d.out
	return psql.Run()
}

type natsService struct{}

const natsStream = "KOLLECT"

func (natsService) name() string { return "nats" }

func (n natsService) start(ctx context.Context, d *dev, cp *controlplane.ControlPlane) (string, error) {
	binary, err := nats.Binary(ctx, d.out, false)
	if err != nil {
		return "", err
	}
	port, err := child.FreePort()
	if err != nil {
		return "", err
	}
	server := nats.Server{Binary: binary, Dir: filepath.Join(d.dir, "nats"), Port: port}
	program := server.Program()
	program.Name = n.name()
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: nats}
spec: {type: nats, nats: {url: %q, stream: %s}}
`, server.URL(), natsStream), cp.StartProgram(ctx, program)
}

func (natsService) address(ctx context.Context, cp *controlplane.ControlPlane) (string, error) {
	out, err := cp.Kubectl(ctx, "get", "kcsink", "nats", "-o", "jsonpath={.spec.nats.url}")
	return string(out), err
}

func (natsService) reading(address string) string {
	return fmt.Sprintf("_bin/dev events        # or: nats --server %s subscribe 'kollect.v1.>' --stream %s --all", address, natsStream)
}

func (natsService) show(ctx context.Context, d *dev, address string) error {
	return printEvents(ctx, d.out, address, demoEvents)
}

// events prints what is published, and goes on to until it is interrupted.
func (d *dev) events(ctx context.Context) error {
	cp, err := controlplane.Open(d.dir)
	if err != nil {
		return errors.New("no control plane is up: make up SINKS=nats")
	}
	address, err := natsService{}.address(ctx, cp)
	if err != nil {
		return fmt.Errorf("%w: make up SINKS=nats", err)
	}
	return printEvents(ctx, d.out, address, 0)
}
