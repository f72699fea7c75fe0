package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"kollect.io/kollect/test/controlplane"
)

// down ends what up started, and removes all of it.
func (d *dev) down(context.Context) error {
	cp, err := controlplane.Open(d.dir)
	switch {
	case err == nil:
		if err := d.end(cp); err != nil {
			return err
		}
	case errors.Is(err, os.ErrNotExist):
		d.say("No control plane is up.")
	default:
		return err
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove the control plane's folder: %w", err)
	}
	return nil
}

// end stops the processes of the control plane, and says which those were.
func (d *dev) end(cp *controlplane.ControlPlane) error {
	processes := cp.Processes()
	if err := cp.Stop(); err != nil {
		return err
	}
	for _, p := range slices.Backward(processes) {
		if p.Running {
			d.say("Ended %s (process %d).", p.Name, p.PID)
		} else {
			d.say("%s (process %d) had ended before.", p.Name, p.PID)
		}
	}
	return nil
}
