package kubernetes

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

	"kollect.io/kollect/test/controlplane"
)

// suite is what the tests share.
type suite struct {
	races    string // the folder of the race detector's reports
	cp       *controlplane.ControlPlane
	server   *controlplane.Kollect
	core     kubernetes.Interface
	kubectls map[string]string // by version
}

var shared suite

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	code := 1
	err := shared.start(context.Background())
	if err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, shared.end()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// start builds what is needed, and starts a server behind the aggregator. It
// says what it builds, which takes minutes the first time.
func (s *suite) start(ctx context.Context) (err error) {
	if s.races, err = os.MkdirTemp("", "kollect-races-"); err != nil {
		return err
	}
	if err := os.Setenv("GORACE", controlplane.RaceLog(s.races)); err != nil { // of the server
		return err
	}
	if s.kubectls, err = controlplane.Kubectls(ctx, os.Stderr); err != nil {
		return err
	}
	binary, err := controlplane.KollectBinary(ctx, os.Stderr, true)
	if err != nil {
		return err
	}
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	if s.cp, err = controlplane.Start(ctx, controlplane.Options{Log: io.Discard}); err != nil {
		return err
	}
	if err := controlplane.ApplyCRDs(ctx, s.cp.Config(), filepath.Join(root, "artifacts", "crds")); err != nil {
		return err
	}
	if s.server, err = s.cp.StartKollect(ctx, controlplane.KollectOptions{Binary: binary, Args: []string{"--leader-elect=false"}}); err != nil {
		return err
	}
	if err := s.server.Register(ctx); err != nil {
		return err
	}
	if err := controlplane.AwaitOpenAPI(ctx, s.cp.Config(), controlplane.KollectGroup, controlplane.KollectVersion); err != nil {
		return err
	}
	if _, err := s.cp.Kubectl(ctx, "create", "clusterrolebinding", "accessible", "--clusterrole=kollect-accessible-rows", "--group=system:authenticated"); err != nil {
		return err
	}
	s.core, err = kubernetes.NewForConfig(s.cp.Config())
	return err
}

// end stops everything, and fails if the server raced.
func (s *suite) end() (err error) {
	if s.cp != nil {
		err = s.cp.Stop()
	}
	return errors.Join(err, controlplane.Races(s.races), os.RemoveAll(s.races))
}
