// Package maven fetches what is published to Maven's repositories, for tests to
// run, into the checkout's _bin. Its invariant: what is there is complete.
package maven

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kollect.io/kollect/test/controlplane"
)

// Artifacts are what to fetch: the dependencies of a project, or one archive.
type Artifacts struct {
	// Name of the folder, in part.
	Name string
	// Title is what people call them, and how large they are.
	Title string
	// POM is the project's, if set; its dependencies are copied.
	POM []byte
	// Archive is unpacked, without its dependencies: group, artifact, version, type
	// and classifier with colons between them.
	Archive string
}

// Fetch has Maven copy the artifacts, once for each value of them, and returns their
// folder. It says on log what takes a while.
func (a Artifacts) Fetch(ctx context.Context, log io.Writer) (string, error) {
	root, err := controlplane.Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "_bin", fmt.Sprintf("%s-%08x", a.Name, crc32.ChecksumIEEE(append([]byte(a.Archive), a.POM...))))
	if exists(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	unlock, err := controlplane.Lock(ctx, log, folder+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(folder) { // meanwhile
		return folder, nil
	}
	return folder, a.fetch(ctx, log, folder)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (a Artifacts) fetch(ctx context.Context, log io.Writer, folder string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is missing: apt-get install maven")
	}
	part := folder + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(log, "fetching %s by Maven\n", a.Title)
	args := []string{"--batch-mode", "--quiet", "dependency:unpack", "-Dartifact=" + a.Archive, "-DoutputDirectory=" + part}
	if len(a.POM) > 0 {
		pom := filepath.Join(part, "pom.xml")
		if err := os.WriteFile(pom, a.POM, 0o644); err != nil {
			return err
		}
		args = []string{"--batch-mode", "--quiet", "--file", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + part}
	}
	cmd := exec.CommandContext(ctx, mvn, args...)
	cmd.Dir = part // Maven may note there what it has unpacked
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch %s: %w: %s", a.Title, err, out)
	}
	fmt.Fprintf(log, "fetched %s in %.0fs\n", a.Title, time.Since(began).Seconds())
	return os.Rename(part, folder)
}
