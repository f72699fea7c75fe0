package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scripts is a copy of hack/ in a folder of its own, where the programs that are
// given take the place of real ones.
type scripts struct{ folder string }

func newScripts(t *testing.T, programs map[string]string) *scripts {
	t.Helper()
	s := &scripts{t.TempDir()}
	for _, name := range []string{"lib.sh", "test.sh", "verify.sh"} {
		content, err := os.ReadFile(filepath.Join("..", "hack", name))
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, filepath.Join("hack", name), string(content))
	}
	for name, body := range programs {
		s.write(t, filepath.Join("bin", name), "#!/bin/sh\n"+body+"\n")
	}
	return s
}

func (s *scripts) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(s.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run returns what bash prints, and whether it succeeds.
func (s *scripts) run(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", args...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.folder, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

const needCC = "set -o errexit -o nounset -o pipefail; source hack/lib.sh; need_cc"

func TestNeedCCWantsTheLibraryOfCPlusPlus(t *testing.T) {
	programs := func(compiler string) map[string]string {
		return map[string]string{
			"go": `[ "$*" = "env CC" ] && echo compiler`,
			"id": "echo 1000", // installs nothing
			// Succeeds unless it is to link what it does not have.
			"compiler": compiler,
		}
	}
	if out, ok := newScripts(t, programs(`case "$*" in *++*) exit 1;; esac`)).run(t, "-c", needCC); ok || !strings.Contains(out, "apt-get install g++") {
		t.Errorf("without the library: succeeded %v, %q", ok, out)
	}
	if out, ok := newScripts(t, programs("exit 0")).run(t, "-c", needCC); !ok || out != "" {
		t.Errorf("with the library: succeeded %v, %q", ok, out)
	}
}

// A check that has nothing to check is not one that passed.
func TestScriptsFailWithoutModules(t *testing.T) {
	for name, git := range map[string]string{"git fails": "exit 128", "git lists nothing": "exit 0"} {
		s := newScripts(t, map[string]string{
			"git": git,
			// Builds a program that does nothing; all else that it is asked succeeds.
			"go": `case "$*" in
"env CC") echo compiler;;
build*) printf '#!/bin/sh\n' >"$3" && chmod +x "$3";;
esac`,
			"compiler": "exit 0",
		})
		t.Run(name, func(t *testing.T) {
			if out, ok := s.run(t, "hack/test.sh"); ok {
				t.Errorf("test.sh succeeded:\n%s", out)
			}
			out, ok := s.run(t, "hack/verify.sh")
			if ok {
				t.Errorf("verify.sh succeeded:\n%s", out)
			}
			for _, check := range []string{"gofmt", "go mod tidy", "go vet", "staticcheck", "logcheck"} {
				if !strings.Contains(out, check+": FAILED") {
					t.Errorf("verify.sh: %s did not fail:\n%s", check, out)
				}
			}
		})
	}
}
