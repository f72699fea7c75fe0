package kafka

import (
	"context"
	_ "embed"
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

//go:embed pom.xml
var pom []byte

// Fetch has Maven copy Apache Kafka into the checkout's _bin, once for each content
// of pom.xml, and returns the folder of the archives. It says on log what takes a
// while.
func Fetch(ctx context.Context, log io.Writer) (string, error) {
	root, err := controlplane.Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, "_bin", fmt.Sprintf("kafka-%08x", crc32.ChecksumIEEE(pom)))
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
	return folder, fetch(ctx, log, folder)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func fetch(ctx context.Context, log io.Writer, folder string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is missing: apt-get install maven")
	}
	part := folder + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintln(log, "fetching Apache Kafka (43 MB) by Maven")
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--file", filepath.Join(part, "pom.xml"),
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+part)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Apache Kafka: %w: %s", err, out)
	}
	fmt.Fprintf(log, "fetched Apache Kafka in %.0fs\n", time.Since(began).Seconds())
	return os.Rename(part, folder)
}
