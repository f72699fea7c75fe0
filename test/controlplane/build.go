package controlplane

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build says what goBuild builds: the package pkg of the module in dir, to the
// file out, with args added to go build. detail is told to who waits.
type build struct {
	name, dir, pkg, out string
	args                []string
	detail              string
}

// KollectBinary builds cmd/kollect-apiserver of this checkout and returns its
// path; as to race see BuildProgram.
func KollectBinary(ctx context.Context, log io.Writer, race bool) (string, error) {
	return BuildProgram(ctx, log, Source{Name: "kollect-apiserver", Module: ".", Package: "./cmd/kollect-apiserver"}, race)
}

// Source is what a program is built from: a package, as a module in a folder of
// the checkout knows it.
type Source struct{ Name, Module, Package string }

// BuildProgram builds a program and returns its path. With race it has the race
// detector; the two are different files, so either may be in use while the other
// is built.
func BuildProgram(ctx context.Context, log io.Writer, source Source, race bool) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	b := build{
		name:   source.Name,
		dir:    filepath.Join(root, filepath.FromSlash(source.Module)),
		pkg:    source.Package,
		out:    filepath.Join(root, "_bin", source.Name),
		detail: "the first time takes a minute or two",
	}
	if race {
		b.out += "-race"
		b.args = []string{"-race", "-ldflags=-s"} // without symbols it is linked in a third of the time
	}
	if err := os.MkdirAll(filepath.Dir(b.out), 0o755); err != nil {
		return "", fmt.Errorf("create binary cache: %w", err)
	}
	unlock, err := Lock(ctx, log, b.out+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := goBuild(ctx, log, b); err != nil {
		return "", err
	}
	return b.out, nil
}

// goBuild runs go build, and writes to log how far it is every few seconds and
// what it took at the end; a build that takes no time says nothing.
func goBuild(ctx context.Context, log io.Writer, b build) error {
	args := append([]string{"build", "-v", "-mod=readonly", "-buildvcs=false"}, b.args...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", b.out, b.pkg)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("build %s: %w", b.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", b.name, err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for r := bufio.NewReader(stderr); ; {
			line, err := r.ReadString('\n')
			if line = strings.TrimRight(line, "\n"); line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	last := reportBuild(log, b, lines)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("build %s: %w\n%s", b.name, err, strings.Join(last, "\n"))
	}
	return nil
}

// reportBuild reads go build's lines until there are no more, writes progress
// to log, and returns the last lines that are not progress.
func reportBuild(log io.Writer, b build, lines <-chan string) (last []string) {
	start := time.Now()
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	var downloaded, compiled int
	told := false
	elapsed := func() time.Duration { return time.Since(start).Round(time.Second) }
	for {
		select {
		case line, ok := <-lines:
			switch {
			case !ok:
				if told {
					fmt.Fprintf(log, "%s: built in %s\n", b.name, elapsed())
				}
				return last
			case strings.HasPrefix(line, "go: downloading "):
				downloaded++
			case !strings.ContainsAny(line, " \t"): // -v: an import path
				compiled++
			default:
				last = append(last, line)
				last = last[max(0, len(last)-20):]
			}
		case <-ticker.C:
			if !told {
				told = true
				fmt.Fprintf(log, "%s: building (%s)\n", b.name, b.detail)
			}
			fmt.Fprintf(log, "%s: %s, %d modules downloaded, %d packages compiled\n", b.name, elapsed(), downloaded, compiled)
		}
	}
}
