// Package maven fetches what is published to Maven's repositories, for tests to
// run, into the checkout's _bin. Its invariant: what is there is complete.
package maven

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"kollect.io/kollect/test/services/fetched"
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
	return fetched.Folder{
		Name: a.Name, Title: a.Title + " by Maven", Value: append([]byte(a.Archive), a.POM...), Fetch: a.fetch,
	}.Get(ctx, log)
}

func (a Artifacts) fetch(ctx context.Context, part string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is missing: apt-get install maven")
	}
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
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
