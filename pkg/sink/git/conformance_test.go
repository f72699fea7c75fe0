package git

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/yaml"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/git"
)

// destination is a repository, read by the git program.
type destination struct {
	*sinktest.Injector
	server     *service.Server
	repository string
	spec       kollectv1alpha1.GitSink
	secret     map[string][]byte
}

func start(t *testing.T, options service.Options) *service.Server {
	t.Helper()
	server, err := service.Start(t.Context(), t.TempDir(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("stop the server: %v", err)
		}
	})
	return server
}

var repositories atomic.Int64 // that tests have made

// over returns a new repository to be written over HTTPS or SSH.
func over(t *testing.T, server *service.Server, scheme string, spec kollectv1alpha1.GitSink, settings ...string) *destination {
	t.Helper()
	d := &destination{Injector: &sinktest.Injector{}, server: server, spec: spec}
	d.repository = strings.NewReplacer("/", "-", " ", "-", "#", "-").Replace(t.Name()) + ".git"
	d.repository = fmt.Sprintf("%d-%s", repositories.Add(1), d.repository) // the suite makes several in one test
	if err := server.Create(t.Context(), d.repository, settings...); err != nil {
		t.Fatal(err)
	}
	d.spec.URL, d.secret = server.URL(d.repository), server.Secret()
	if scheme == "ssh" {
		d.spec.URL, d.secret = server.SSHURL(d.repository), server.SSHSecret()
	}
	return d
}

func (d *destination) Open(t *testing.T) sink.SnapshotStore {
	t.Helper()
	store, err := Open(d.spec, d.secret, Options{Dial: d.Dial})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (d *destination) git(ctx context.Context, arguments ...string) ([]byte, error) {
	return d.server.Git(ctx, d.repository, arguments...)
}

// files returns what the branch has in a folder, by path below it.
func (d *destination) files(ctx context.Context, folder string) (map[string][]byte, error) {
	archive, err := d.git(ctx, "archive", "refs/heads/main", folder+"/")
	if err != nil && (strings.Contains(err.Error(), "not a valid object name") || strings.Contains(err.Error(), "did not match any")) {
		return nil, nil // not there
	}
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			if files[strings.TrimPrefix(header.Name, folder+"/")], err = io.ReadAll(in); err != nil {
				return nil, err
			}
		}
	}
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	namespace := of.Namespace
	if namespace == "" {
		namespace = "_cluster"
	}
	cluster := strings.ReplaceAll(of.Cluster, "D", "%44")
	files, err := d.files(ctx, cluster+"/"+namespace+"/"+of.Name)
	if err != nil || files[".kollect.json"] == nil {
		return nil, err
	}
	var manifest struct {
		Generation int64
		Rows       int
		Forgotten  bool
	}
	if err := json.Unmarshal(files[".kollect.json"], &manifest); err != nil {
		return nil, err
	}
	delete(files, ".kollect.json")
	if manifest.Forgotten {
		if len(files) > 0 {
			return nil, fmt.Errorf("%d files of what was forgotten", len(files))
		}
		return nil, nil
	}
	content := &sinktest.Content{Generation: manifest.Generation, Rows: map[string]string{}}
	for name, data := range files {
		if err := readFile(name, data, content.Rows); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(content.Rows) != manifest.Rows {
		return nil, fmt.Errorf("%d rows, %d in the manifest", len(content.Rows), manifest.Rows)
	}
	return content, nil
}

type fileRow struct {
	Key        string
	Attributes json.RawMessage
}

func readFile(name string, data []byte, into map[string]string) error {
	if filepath.Ext(name) == ".yaml" {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return err
		}
	}
	var file struct {
		fileRow
		Rows []fileRow
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	if file.Key != "" {
		file.Rows = append(file.Rows, file.fileRow)
	}
	for _, row := range file.Rows {
		var compact bytes.Buffer
		if err := json.Compact(&compact, row.Attributes); err != nil {
			return err
		}
		into[row.Key] = strings.ReplaceAll(compact.String(), "\u2028", `\u2028`)
	}
	return nil
}

// steady is a destination that never fails.
type steady struct{ d *destination }

func (s steady) Open(t *testing.T) sink.SnapshotStore { return s.d.Open(t) }

func (s steady) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	return s.d.Read(ctx, of)
}

const filters = "uploadpack.allowFilter=true"

// all also interrupts each step, and goes over SSH, which costs a minute of a
// processor; make soak does.
var all = flag.Bool("all", false, "run the suite over SSH too, and with interruptions")

func TestConformance(t *testing.T) {
	server := start(t, service.Options{})
	spec := kollectv1alpha1.GitSink{Format: "json"}
	t.Run("a document over HTTPS", func(t *testing.T) {
		sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots {
			d := over(t, server, "https", spec, filters)
			if !*all {
				return steady{d}
			}
			return d
		})
	})
	if !*all {
		return
	}
	spec.Layout = "perResource"
	t.Run("a file a row over SSH", func(t *testing.T) {
		sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return steady{over(t, server, "ssh", spec, filters)} })
	})
}
