package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"kollect.io/kollect/test/controlplane"
)

// awaitExport waits until all sinks have what the inventories are now.
func (d *demonstration) awaitExport(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		waiting, err := d.waiting(ctx)
		if err != nil || waiting == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the export: %s: %w", waiting, ctx.Err())
		case <-again.C:
		}
	}
}

// waiting returns which inventory is not in all of its sinks; empty: none.
func (d *demonstration) waiting(ctx context.Context) (string, error) {
	for _, inventory := range [][]string{{"inventory/apps", "-n", "team-a"}, {"clusterinventory/platform"}} {
		args := append([]string{"get", "-o", `jsonpath={.status.contentHash}{range .status.sinks[*]}{"\n"}{.name} {.contentHash}{end}`}, inventory...)
		out, err := d.kubectl(ctx, args...).Output()
		if err != nil {
			return "", fmt.Errorf("wait for the export of %s: %w", inventory[0], err)
		}
		hash, sinks, _ := strings.Cut(string(out), "\n")
		for sink := range strings.Lines(sinks + "\n") {
			if name, held, _ := strings.Cut(strings.TrimSpace(sink), " "); held != hash {
				return fmt.Sprintf("%s is not in sink %q", inventory[0], name), nil
			}
		}
	}
	return "", nil
}

// demoSQL reads what is current below a folder, with what views declares.
const (
	views   = "artifacts/sql/duckdb.sql"
	demoSQL = `SET VARIABLE inventory_root = '%s';
  SET VARIABLE inventory_files = inventory_files();
  SELECT attr_image AS image, count(*) AS deployments, max(generation) AS generation
  FROM inventory_current WHERE kind = 'Deployment' GROUP BY ALL ORDER BY ALL`
)

// query shows what DuckDB answers. Where it can't be built it says what that takes.
func (d *dev) query(ctx context.Context, sql string) error {
	binary, err := controlplane.BuildProgram(ctx, d.out, controlplane.Source{Name: "query", Module: "test/duckdb", Package: "./cmd/query"}, false)
	if err != nil {
		d.say("DuckDB is not here: it takes a C compiler with the library of C++ (Debian: g++). With one of your own:\n$ duckdb -init %s -c \"%s\"", views, sql)
		return ctx.Err()
	}
	d.say("$ _bin/query -init %s \"%s\"", views, sql)
	cmd := exec.CommandContext(ctx, binary, "-init", views, sql)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.root, d.out, d.out
	return cmd.Run()
}
