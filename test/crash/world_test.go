package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"

	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/test/controlplane"
)

// clusterName is the cluster in what is exported.
const clusterName = "crash"

// world is what the tests share: a control plane, two replicas, of which one
// exports, and a destination of each kind.
type world struct {
	races        string // the folder of the race detector's reports
	cp           *controlplane.ControlPlane
	core         kubernetes.Interface
	replicas     [2]*replica
	destinations []destination
}

// replica is a kollect-apiserver.
type replica struct {
	*controlplane.Kollect
	name   string
	client versioned.Interface // of this very server
}

func (w *world) start(ctx context.Context, log io.Writer) (err error) {
	if w.races, err = os.MkdirTemp("", "kollect-races-"); err != nil {
		return err
	}
	if err := os.Setenv("GORACE", controlplane.RaceLog(w.races)); err != nil { // of servers
		return err
	}
	ready := w.startDestinations(ctx)
	err = w.startControlPlane(ctx, log)
	if err := errors.Join(err, <-ready); err != nil {
		return err
	}
	w.destinations = append(w.destinations, &lake{root: w.cp.SinkFileRoot()})
	s, err := startStream(ctx, w.cp, log)
	if err != nil {
		return err
	}
	w.destinations = append(w.destinations, s)
	return nil
}

// startDestinations starts those that need nothing else, which takes a while. What
// it returns says when they are ready.
func (w *world) startDestinations(ctx context.Context) <-chan error {
	ready := make(chan error, 1)
	go func() {
		table, err := startTable(ctx)
		if err != nil {
			ready <- err
			return
		}
		w.destinations = append(w.destinations, table)
		topic, err := startTopic(ctx)
		if err != nil {
			ready <- err
			return
		}
		w.destinations = append(w.destinations, topic)
		ready <- w.startSmall(ctx)
	}()
	return ready
}

// startSmall starts those that are up at once.
func (w *world) startSmall(ctx context.Context) error {
	b, err := startBranch(ctx)
	if b != nil {
		w.destinations = append(w.destinations, b)
	}
	if err != nil {
		return err
	}
	e, err := startEndpoint(ctx)
	if e != nil {
		w.destinations = append(w.destinations, e)
	}
	return err
}

// startControlPlane starts a control plane, and both replicas.
func (w *world) startControlPlane(ctx context.Context, log io.Writer) error {
	binary, err := controlplane.KollectBinary(ctx, log, true)
	if err != nil {
		return err
	}
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	if w.cp, err = controlplane.Start(ctx, controlplane.Options{Log: log}); err != nil {
		return err
	}
	if err := controlplane.ApplyCRDs(ctx, w.cp.Config(), filepath.Join(root, "artifacts", "crds")); err != nil {
		return err
	}
	if w.core, err = kubernetes.NewForConfig(w.cp.Config()); err != nil {
		return err
	}
	for i := range w.replicas {
		if w.replicas[i], err = w.startReplica(ctx, binary, fmt.Sprintf("replica-%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// startReplica starts a server that takes over soon from one that is gone.
func (w *world) startReplica(ctx context.Context, binary, name string) (*replica, error) {
	server, err := w.cp.StartKollect(ctx, controlplane.KollectOptions{
		Binary: binary, Name: name, ClusterName: clusterName, Args: []string{
			"-v=2", "--sink-allowed-cidrs=127.0.0.1/32",
			"--leader-elect-lease-duration=1s", "--leader-elect-renew-deadline=800ms", "--leader-elect-retry-period=200ms",
		},
	})
	if err != nil {
		return nil, err
	}
	client, err := versioned.NewForConfig(server.Config())
	return &replica{server, name, client}, err
}

// end stops everything, and fails if a server raced.
func (w *world) end() (err error) {
	if w.cp != nil {
		err = w.cp.Stop()
	}
	for _, d := range w.destinations {
		err = errors.Join(err, d.end())
	}
	return errors.Join(err, controlplane.Races(w.races), os.RemoveAll(w.races))
}
