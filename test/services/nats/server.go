// Package nats runs nats-server, with JetStream, as a program of its own that can
// be killed. Its module is test/nats, so that the product does not depend on it.
// It listens on a loopback address alone.
package nats

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/test/controlplane"
)

// Binary builds nats-server and returns its path. With race it takes what is
// compiled for the tests of test/nats.
func Binary(ctx context.Context, log io.Writer, race bool) (string, error) {
	return controlplane.BuildProgram(ctx, log, controlplane.Source{
		Name: "nats-server", Module: "test/nats", Package: "github.com/nats-io/nats-server/v2",
	}, race)
}

// Server is where a server runs and keeps its streams.
type Server struct {
	Binary, Dir string
	Port        int
}

// URL returns where its clients connect.
func (s *Server) URL() string { return "nats://127.0.0.1:" + strconv.Itoa(s.Port) }

// Program returns the server, for a control plane to run. Started again it has
// what it had.
func (s *Server) Program() controlplane.Program {
	cmd := exec.Command(s.Binary, "--addr=127.0.0.1", "--port="+strconv.Itoa(s.Port), "--name=kollect", "--jetstream", "--store_dir="+s.Dir)
	cmd.Env = append(os.Environ(), "GORACE=") // its races are none of ours
	return controlplane.Program{Name: "nats-server", Command: cmd, Ready: s.ready}
}

// ready asks whether JetStream answers.
func (s *Server) ready(ctx context.Context) error {
	conn, err := nats.Connect(s.URL(), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("connect to nats-server: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	_, err = js.AccountInfo(ctx)
	return err
}
