package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/test/controlplane"
)

// clusterName is the cluster in what is exported.
const clusterName = "e2e"

// suite is what the tests share.
type suite struct {
	binary string
	races  string // the folder of the race detector's reports
	cp     *controlplane.ControlPlane
	server *controlplane.Kollect // exports always: it is in no election
	admin  versioned.Interface   // through the aggregator
	core   kubernetes.Interface
}

var shared suite

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	races, err := os.MkdirTemp("", "kollect-races-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(races)
	if err := os.Setenv("GORACE", controlplane.RaceLog(races)); err != nil { // of servers
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := shared.start(context.Background(), races); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// start builds the server, and starts it behind the aggregator.
func (s *suite) start(ctx context.Context, races string) (err error) {
	s.races = races
	log := io.Discard
	if testing.Verbose() {
		log = os.Stderr
	}
	if s.binary, err = controlplane.KollectBinary(ctx, log, true); err != nil {
		return err
	}
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	if s.cp, err = controlplane.Start(ctx, controlplane.Options{Log: log}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.cp.Stop())
		}
	}()
	if err := controlplane.ApplyCRDs(ctx, s.cp.Config(), filepath.Join(root, "artifacts", "crds")); err != nil {
		return err
	}
	if s.server, err = s.cp.StartKollect(ctx, controlplane.KollectOptions{
		Binary: s.binary, ClusterName: clusterName, Args: []string{"--leader-elect=false", "-v=2", "--sink-allowed-cidrs=0.0.0.0/0,::/0,127.0.0.1/32"},
	}); err != nil {
		return err
	}
	if err := s.server.Register(ctx); err != nil {
		return err
	}
	if err := controlplane.AwaitOpenAPI(ctx, s.cp.Config(), controlplane.KollectGroup, controlplane.KollectVersion); err != nil {
		return err
	}
	s.admin, s.core, err = clientsOf(s.cp.Config())
	return err
}

func clientsOf(config *rest.Config) (versioned.Interface, kubernetes.Interface, error) {
	kollect, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	core, err := kubernetes.NewForConfig(config)
	return kollect, core, err
}

// end stops everything, and fails if a server raced.
func (s *suite) end() error {
	return errors.Join(s.cp.Stop(), controlplane.Races(s.races))
}
