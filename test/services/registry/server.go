// Package registry runs Apicurio Registry for tests: a registry of schemas that has
// Confluent's API too, with what it holds in memory, on a loopback port of its own.
// Its invariant: what it has started ends with it.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/services/maven"
)

// archive has all that the registry needs. It is the newest that runs on Java 17.
const archive = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all"

// Server is a running registry.
type Server struct {
	folder string // its own
	port   int
	server *child.Process
}

// answerTimeout bounds how long a server takes to answer.
const answerTimeout = time.Minute

// Fetch has Maven copy the registry, once, and returns its folder. It says on log
// what takes a while.
func Fetch(ctx context.Context, log io.Writer) (string, error) {
	return maven.Artifacts{Name: "registry", Title: "Apicurio Registry (109 MB)", Archive: archive}.Fetch(ctx, log)
}

// Start starts a server and waits until it answers.
func Start(ctx context.Context) (*Server, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, errors.New("java, 17 or later, is missing: apt-get install default-jre-headless")
	}
	archives, err := Fetch(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(archives, "*-runner.jar"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("the registry's program is not in %s", archives)
	}
	folder, err := os.MkdirTemp("", "kollect-registry-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder}
	if err := s.start(ctx, java, found[0]); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, java, program string) (err error) {
	if s.port, err = child.FreePort(); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Djava.io.tmpdir="+s.folder, "-jar", program)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "QUARKUS_HTTP_HOST=127.0.0.1", fmt.Sprintf("QUARKUS_HTTP_PORT=%d", s.port))
	if s.server, err = child.Start(cmd, filepath.Join(s.folder, "log"), false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.server.Await(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/subjects", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the registry answers with status %d", response.StatusCode)
		}
		return nil
	})
}

// Stop ends the registry and removes its folder.
func (s *Server) Stop() error {
	if s.server != nil {
		s.server.End(syscall.SIGKILL)
	}
	return os.RemoveAll(s.folder)
}

// URL is where the API of Confluent begins.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", s.port) }
