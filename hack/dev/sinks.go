package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"kollect.io/kollect/test/controlplane"
)

// addSinks starts the servers that are wanted, unless they run, with a sink each.
func (d *dev) addSinks(ctx context.Context, cp *controlplane.ControlPlane) error {
	for _, s := range d.wanted {
		if d.running(cp)[s.name()] {
			continue
		}
		d.say("Starting %s.", s.name())
		manifests, err := s.start(ctx, d, cp)
		if err != nil {
			return fmt.Errorf("start %s for sinks: %w", s.name(), err)
		}
		if err := applyAs(ctx, cp, "dev", manifests); err != nil {
			return err
		}
	}
	return d.refer(ctx, cp)
}

// running returns which services run.
func (d *dev) running(cp *controlplane.ControlPlane) map[string]bool {
	running := map[string]bool{}
	for _, p := range cp.Processes() {
		running[p.Name] = p.Running
	}
	return running
}

// refer has the demo's inventory go to the sinks of the services that run, if the
// inventory is there.
func (d *dev) refer(ctx context.Context, cp *controlplane.ControlPlane) error {
	out, err := cp.Kubectl(ctx, "get", "kcinv", "platform", "--ignore-not-found", "-o", "name")
	if err != nil || len(out) == 0 {
		return err
	}
	running := d.running(cp)
	var refs []string
	for _, s := range services {
		if running[s.name()] {
			refs = append(refs, fmt.Sprintf("{name: %s}", s.name()))
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return applyAs(ctx, cp, "dev", fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: platform}
spec: {sinkRefs: [%s]}
`, strings.Join(refs, ", ")))
}

// applyAs applies manifests as a field manager: what others set stays.
func applyAs(ctx context.Context, cp *controlplane.ControlPlane, manager, manifests string) error {
	cmd := cp.KubectlCommand(ctx, "apply", "--server-side", "--field-manager="+manager, "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apply: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// explainSinks says how to read what is in the servers that run.
func (d *dev) explainSinks(ctx context.Context, cp *controlplane.ControlPlane) error {
	return d.eachRunning(ctx, cp, func(s service, address string) error {
		d.say("\nKollectClusterSink %s is for KollectClusterInventories, as the demo's is. To read what is there:\n  %s", s.name(), s.reading(address))
		return nil
	})
}

// showSinks shows what of the demo is in the servers that run.
func (d *dev) showSinks(ctx context.Context, cp *controlplane.ControlPlane) error {
	return d.eachRunning(ctx, cp, func(s service, address string) error {
		d.say("\nThe platform's rows in %s:\n\n$ %s\n", s.name(), s.reading(address))
		return s.show(ctx, d, address)
	})
}

func (d *dev) eachRunning(ctx context.Context, cp *controlplane.ControlPlane, do func(s service, address string) error) error {
	running := d.running(cp)
	for _, s := range services {
		if !running[s.name()] {
			continue
		}
		address, err := s.address(ctx, cp)
		if err != nil {
			return err
		}
		if err := do(s, address); err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	return nil
}
