package crash

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing/fstest"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/services/git"
)

const repository = "inventory.git"

// branch is a branch of a repository that the git program serves.
type branch struct {
	dir    string
	server *git.Server
	downs  atomic.Int64 // how often it went away or came back
}

var _ crasher = (*branch)(nil)

func startBranch(ctx context.Context) (_ *branch, err error) {
	b := &branch{}
	if b.dir, err = os.MkdirTemp("", "kollect-git-"); err != nil {
		return nil, err
	}
	port, err := child.FreePort()
	if err != nil {
		return b, err
	}
	if b.server, err = git.Start(ctx, b.dir, git.Options{Address: "127.0.0.1:" + strconv.Itoa(port)}); err != nil {
		return b, err
	}
	if err := os.WriteFile(b.authority(), b.server.Secret()["ca.crt"], 0o600); err != nil {
		return b, err
	}
	return b, b.server.Create(ctx, repository, "uploadpack.allowFilter=true")
}

func (b *branch) authority() string { return filepath.Join(b.dir, "ca.crt") }

func (*branch) name() string { return "branch" }

func (b *branch) end() error {
	var err error
	if b.server != nil {
		err = b.server.Stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

func (b *branch) sink(string) string {
	secret := b.server.Secret()
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: git}
stringData: {token: %q, ca.crt: %q}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: branch}
spec:
  type: git
  git: {url: %q, layout: perResource, format: json}
  minWriteInterval: 0s
  secretRef: {name: git}
`, secret["token"], secret["ca.crt"], b.server.URL(repository))
}

func (*branch) slow() bool { return true }

func (b *branch) kill() error {
	b.downs.Add(1)
	return b.server.Kill()
}

func (b *branch) up(context.Context) error {
	err := b.server.Up()
	b.downs.Add(1)
	return err
}

// read reads what the repository has.
func (b *branch) read(ctx context.Context, namespace, inventory string) (content, error) {
	archive, err := b.server.Git(ctx, repository, "archive", "main", path.Join(clusterName, namespace, inventory))
	if err != nil {
		return content{}, err
	}
	tree := fstest.MapFS{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return readTree(tree, namespace, inventory)
		}
		if err != nil {
			return content{}, err
		}
		if header.Typeflag == tar.TypeReg {
			file := &fstest.MapFile{}
			if file.Data, err = io.ReadAll(in); err != nil {
				return content{}, err
			}
			tree[header.Name] = file
		}
	}
}

// clone reads the inventories of a namespace in a clone of its own.
func (b *branch) clone(ctx context.Context, namespace string, inventories []string) (map[string]content, error) {
	tree, err := os.MkdirTemp(b.dir, "clone-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tree)
	login := base64.StdEncoding.EncodeToString([]byte("x:" + string(b.server.Secret()["token"])))
	downs := b.downs.Load()
	if _, err := git.Run(ctx, tree, nil, "-c", "http.sslCAInfo="+b.authority(), "-c", "http.extraHeader=Authorization: Basic "+login,
		"clone", "--quiet", "--depth=1", "--no-tags", b.server.URL(repository), "."); err != nil {
		if downs%2 == 0 && downs == b.downs.Load() && ctx.Err() == nil {
			return nil, brokenf("clone a repository whose server is there: %v", err)
		}
		return nil, err
	}
	contents := map[string]content{}
	for _, inventory := range inventories {
		if contents[inventory], err = readTree(os.DirFS(tree), namespace, inventory); err != nil {
			return nil, brokenf("%s in a clone: %v", inventory, err)
		}
	}
	return contents, nil
}

// readTree reads the files of an inventory.
func readTree(tree fs.FS, namespace, inventory string) (content, error) {
	folder := path.Join(clusterName, namespace, inventory)
	text, err := fs.ReadFile(tree, path.Join(folder, ".kollect.json"))
	if err != nil {
		return content{}, err
	}
	var manifest struct {
		Generation, Rows int64
		ContentHash      string
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return content{}, brokenf("a torn manifest: %v: %s", err, text)
	}
	c := content{Generation: manifest.Generation, Hash: manifest.ContentHash, Rows: map[string]row{}}
	err = fs.WalkDir(tree, path.Join(folder, "resources"), func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there are no rows
		}
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil || len(d.Key) < 10 || !strings.HasSuffix(name, "."+d.Key[:10]+".json") {
			return brokenf("%s: %v: %s", name, err, text)
		}
		c.Rows[d.Key] = d.row()
		return nil
	})
	if err == nil && manifest.Rows != int64(len(c.Rows)) {
		err = brokenf("%d rows, of which it says that they are %d", len(c.Rows), manifest.Rows)
	}
	return c, err
}
