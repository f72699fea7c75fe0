package postgres

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestTextOfCopy(t *testing.T) {
	for value, want := range map[string]string{
		"":              "",
		"plain":         "plain",
		`\N`:            `\\N`,
		`\.`:            `\\.`,
		"a\tb\nc\rd\\":  `a\tb\nc\rd\\`,
		"a\x00b":        "a\ufffdb",
		"a\xffb":        "a\ufffdb",
		"ü日🦀\u2028\b\f": "ü日🦀\u2028\b\f",
	} {
		if got := string(appendText(nil, value)); got != want {
			t.Errorf("%q is copied as %q, want %q", value, got, want)
		}
	}
}

func TestJSONWithoutNUL(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"\u0000"}`:         "{\"a\":\"\ufffd\"}",
		`{"a\u0000b":"\\u0000"}`: "{\"a\ufffdb\":\"\\\\u0000\"}",
		`{"a":"\\\u0000"}`:       "{\"a\":\"\\\\\ufffd\"}",
		`{"a":"\n\u0001"}`:       `{"a":"\n\u0001"}`,
	} {
		got := cleanJSON(text)
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

// All lines come, whatever the sizes in which they are read.
func TestLinesAreReadInAnySize(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(700)
	updates := inventory.NewBase(nil).Diff(s.Snapshot(), nil)
	var all []string
	for _, size := range []int{1, 100, 1 << 20} {
		l := newLines([]byte("x\t"), nil, updates)
		var b strings.Builder
		_, err := io.CopyBuffer(&b, struct{ io.Reader }{l}, make([]byte, size))
		if n := l.end(); err != nil || n != 700 || strings.Count(b.String(), "\n") != 700 {
			t.Fatalf("%d rows: %v", n, err)
		}
		all = append(all, b.String())
	}
	if all[0] != all[1] || all[0] != all[2] {
		t.Error("the lines differ")
	}
}
