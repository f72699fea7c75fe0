package kubernetes

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// follow starts a kubectl that does not end by itself, and returns the lines that
// it prints.
func (k *kubectl) follow(args string) (stdout, stderr <-chan string) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), deadline)
	cmd := k.command(ctx, k.split(args)...)
	cmd.WaitDelay = time.Second
	lines := func(pipe func() (io.ReadCloser, error)) <-chan string {
		in, err := pipe()
		if err != nil {
			k.Fatal(err)
		}
		out := make(chan string)
		go func() {
			defer close(out)
			for s := bufio.NewScanner(in); s.Scan(); {
				select {
				case out <- s.Text():
				case <-ctx.Done():
				}
			}
		}()
		return out
	}
	stdout, stderr = lines(cmd.StdoutPipe), lines(cmd.StderrPipe)
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() {
		cancel()
		for range stdout {
		}
		for range stderr {
		}
		_ = cmd.Wait() // it was killed, or is tested by what it printed
	})
	return stdout, stderr
}

// nextLine wants a line with all of the words.
func nextLine(t *testing.T, lines <-chan string, words ...string) {
	t.Helper()
	line, ok := <-lines
	if !ok {
		t.Fatalf("it ended, want a line with %q", words)
	}
	wantParts(t, "a line", line, strings.Join(words, separator))
	if t.Failed() {
		t.FailNow()
	}
}

// untilLine reads lines until one has the word.
func untilLine(t *testing.T, lines <-chan string, word string) {
	t.Helper()
	for line := range lines {
		if strings.Contains(line, word) {
			return
		}
	}
	t.Fatalf("no line with %q", word)
}

// watches are what watches print first. They do not end by themselves.
var watches = []struct {
	args  string
	lines []string
}{
	{"get invrow -n NS -w --field-selector source.name=one", []string{"NAME | SOURCE | AGE", "ROW(one) | ConfigMap | one | red"}},
	{"get invrow -n NS -w --field-selector source.name=one -o wide --show-labels", []string{"NAME | SOURCE | AGE | UID | CLUSTER | LABELS", "ROW(one) | ConfigMap | one | red | app=a,rank=3"}},
	{"get invrow/ROW(one) -n NS -w -o name", []string{"inventoryrow.inventory.kollect.io/ROW(one)"}},
	{"get invrow/ROW(one) -n NS -w -o yaml", []string{"apiVersion: inventory.kollect.io/v1alpha1", "attributes:", "size: 2", "value: red"}},
	{"get inv/apps -n NS -w --no-headers", []string{"apps | 3 | ConfigMap=3"}},
	{"get cinv/NS -w --output-watch-events -o json", []string{`{"type":"ADDED","object":{"apiVersion":"inventory.kollect.io/v1alpha1","kind":"ClusterInventory"`}},
	{"get invrow -n NS --chunk-size=1 -w --output-watch-events", []string{"EVENT | NAME | AGE", "ADDED | ConfigMap", "ADDED | ConfigMap", "ADDED | ConfigMap"}},
}

func (k *kubectl) beginsWatches() {
	for _, w := range watches {
		stdout, _ := k.follow(w.args)
		for _, line := range w.lines {
			nextLine(k.T, stdout, strings.Split(k.expand(line), separator)...)
		}
	}
}

// watchesChanges changes objects under watches and waits that do not end before.
func (k *kubectl) watchesChanges() {
	t := k.T
	events, _ := k.follow("get invrow -n NS -l watched -w --output-watch-events -L watched")
	selected, _ := k.follow("get arow -n NS -l watched=yes --field-selector inventory=apps -w --output-watch-events --no-headers")
	// A watch of one object by its name would miss what happens before it begins.
	heads, _ := k.follow("get inv -n NS --field-selector metadata.name=apps -w -o jsonpath={.status.rows}{\"\\n\"}")
	waits, _ := k.follow("wait --for=jsonpath={.status.rows}=4 inv/apps -n NS")
	change := func(label, value string) {
		k.put("four", map[string]string{"watched": label}, map[string]string{"value": value})
	}
	nextLine(t, heads, "3") // so it has listed

	change("yes", "black")
	nextLine(t, events, "EVENT", "NAME", "VALUE", "AGE", "WATCHED")
	nextLine(t, events, "ADDED", "black", "yes")
	nextLine(t, selected, "ADDED", "four")
	nextLine(t, heads, "4")
	nextLine(t, waits, "inventory.inventory.kollect.io/apps condition met")
	change("yes", "white")
	nextLine(t, events, "MODIFIED", "white", "yes")
	nextLine(t, selected, "MODIFIED", "four")
	change("no", "white")
	nextLine(t, events, "MODIFIED", "white", "no")
	nextLine(t, selected, "DELETED", "four")
	change("yes", "grey")
	nextLine(t, events, "MODIFIED", "grey", "yes")
	nextLine(t, selected, "ADDED", "four")

	// Of test/cmd/crd.sh: a watch that begins with what comes after it.
	later, log := k.follow("get invrow -n NS -l watched --watch-only -o name --v=6")
	deleted, waitLog := k.follow("wait --for=delete invrow -l watched -n NS --v=6")
	untilLine(t, log, "watch=true")
	untilLine(t, waitLog, "watch=true")
	k.remove("four")
	nextLine(t, events, "DELETED", "grey", "yes")
	nextLine(t, selected, "DELETED", "four")
	nextLine(t, later, "inventoryrow.inventory.kollect.io/apps.")
	nextLine(t, deleted, "inventoryrow.inventory.kollect.io/apps.", "condition met")
}
