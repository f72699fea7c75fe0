// Package test holds what is checked over the whole project.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "kollect.io/kollect/"

// arrows says, for each package tree, which others of this module it may
// import. Data flows cluster -> collect -> extract -> snapshot ->
// (registry | export -> sink): registry and export never meet, neither knows
// collect, and sinks never import one another.
var arrows = map[string][]string{
	"pkg/apis/kollect":      {},
	"pkg/apis/inventory":    {},
	"pkg/generated":         {"pkg/apis/kollect", "pkg/apis/inventory", "pkg/generated"},
	"pkg/inventory":         {},
	"pkg/extract":           {"pkg/inventory", "pkg/apis/kollect"},
	"pkg/collect":           {"pkg/inventory", "pkg/extract"},
	"pkg/registry":          {"pkg/inventory", "pkg/format", "pkg/apis/inventory"},
	"pkg/sink":              {"pkg/inventory"},
	"pkg/format":            {"pkg/inventory"},
	"pkg/sink/git":          {"pkg/sink", "pkg/format", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/objectstore":  {"pkg/sink", "pkg/format", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/http":         {"pkg/sink", "pkg/format", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/postgres":     {"pkg/sink", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/cloudevent":   {"pkg/sink", "pkg/format", "pkg/inventory", "pkg/apis/kollect", "pkg/apis/inventory"},
	"pkg/sink/kafka":        {"pkg/sink", "pkg/sink/cloudevent", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/nats":         {"pkg/sink", "pkg/sink/cloudevent", "pkg/inventory", "pkg/apis/kollect"},
	"pkg/sink/sinktest":     {"pkg/sink", "pkg/inventory"},
	"pkg/export":            {"pkg/inventory", "pkg/sink"},
	"pkg/controller":        {"pkg/collect", "pkg/export", "pkg/extract", "pkg/sink", "pkg/inventory", "pkg/apis/kollect", "pkg/generated"},
	"pkg/opener":            {"pkg/controller", "pkg/sink", "pkg/sink/git", "pkg/sink/objectstore", "pkg/sink/http", "pkg/sink/postgres", "pkg/sink/nats", "pkg/sink/kafka", "pkg/apis/kollect"},
	"pkg/apiserver":         {"pkg"},
	"pkg/cli":               {"pkg/opener", "pkg/controller", "pkg/export", "pkg/format", "pkg/sink", "pkg/inventory", "pkg/apis/kollect", "pkg/apis/inventory", "pkg/generated"},
	"cmd/kollect-apiserver": {"pkg/apiserver"},
	"cmd/kollect":           {"pkg/cli"},
}

// pure packages use nothing but the standard library and what is named here.
var pure = map[string][]string{
	"pkg/inventory": {"github.com/tidwall/btree"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func TestImportArrows(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if !strings.HasPrefix(name, "pkg/") && !strings.HasPrefix(name, "cmd/") {
			continue
		}
		rule := longestPrefix(name)
		if rule == "" {
			t.Errorf("%s has no arrow: add it to the table in this test and to the package map in ARCHITECTURE.md", name)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			switch {
			case ours && !within(to, rule) && !allowed(to, arrows[rule]):
				t.Errorf("%s must not import %s", name, to)
			case !ours && pure[rule] != nil && strings.Contains(imported, ".") && !slices.Contains(pure[rule], imported):
				t.Errorf("%s is pure and must not import %s", name, imported)
			}
		}
	}
}

// longestPrefix returns the rule that applies to a package.
func longestPrefix(name string) string {
	longest := ""
	for rule := range arrows {
		if within(name, rule) && len(rule) > len(longest) {
			longest = rule
		}
	}
	return longest
}

func within(name, tree string) bool {
	return name == tree || strings.HasPrefix(name, tree+"/")
}

// allowed reports whether an import is covered by a rule. A tree that has a rule
// of its own, such as a sink's, is not covered by that of the tree around it.
func allowed(to string, rules []string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		return rule == "pkg" || within(to, rule) && (longestPrefix(to) == rule || longestPrefix(to) == to && rule == to)
	})
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", module+"...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	return packages
}
