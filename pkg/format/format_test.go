package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var update = flag.Bool("update", false, "write golden files")

var options = format.Options{Generation: 42, Time: time.Date(2026, 11, 21, 22, 33, 4, 567_890_123, time.UTC)}

func small(names ...string) *inventory.Snapshot {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for _, name := range names {
		s.Set(name, "nginx:1.27 <"+name+">")
	}
	return s.Snapshot()
}

func encode(t *testing.T, f format.Format, s *inventory.Snapshot, o format.Options) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := f.Write(&buf, s, o); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestTextIsAsInTheGoldenFiles(t *testing.T) {
	cluster := sinktest.NewSample(inventory.Ref{Name: "platform"})
	cluster.SetAttributes("node-1", `{}`)
	for name, tc := range map[string]struct {
		format   format.Format
		snapshot *inventory.Snapshot
		options  format.Options
	}{
		"rows.json":    {format.JSON, small("web", "api"), options},
		"rows.ndjson":  {format.NDJSON, small("web", "api"), options},
		"empty.json":   {format.JSON, small(), options},
		"empty.ndjson": {format.NDJSON, small(), options},
		"rows.csv":     {format.CSV, small("web", "api"), options},
		"empty.csv":    {format.CSV, small(), options},
		"cluster.csv":  {format.CSV, cluster.Snapshot(), format.Options{}},
		"cluster.json": {format.JSON, cluster.Snapshot(), format.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := encode(t, tc.format, tc.snapshot, tc.options)
			got = bytes.ReplaceAll(got, []byte(tc.snapshot.Hash().String()), []byte("sha256:HASH"))
			golden := filepath.Join("testdata", name)
			if diff := diffGolden(t, golden, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for line := range bytes.Lines(got) {
				if tc.format == format.NDJSON && !json.Valid(line) {
					t.Errorf("line is not JSON: %s", line)
				}
			}
			if tc.format == format.JSON && !json.Valid(got) {
				t.Error("document is not JSON")
			}
		})
	}
}

func TestEqualContentsGiveEqualBytes(t *testing.T) {
	a := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	a.Fill(5000)
	a.Set("web", "nginx:1.27")
	a.Set("api", "nginx:1.27")
	b := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	b.Set("api", "nginx:1.26")
	b.Set("gone", "nginx:1.26")
	b.Set("web", "nginx:1.27")
	b.Set("api", "nginx:1.27")
	b.Delete("gone")
	b.Fill(5000)
	for _, f := range format.All() {
		if !bytes.Equal(encode(t, f, a.Snapshot(), options), encode(t, f, b.Snapshot(), options)) {
			t.Errorf("%s: equal contents have different bytes", f)
		}
		a.Set("web", "nginx:1.28")
		if bytes.Equal(encode(t, f, a.Snapshot(), options), encode(t, f, b.Snapshot(), options)) {
			t.Errorf("%s: different contents have equal bytes", f)
		}
		a.Set("web", "nginx:1.27")
	}
}

func TestRowsAreOrderedByKindNamespaceAndName(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Name: "platform"}) // spreads over namespaces by length
	for _, name := range []string{"b", "aa", "a", "ccc", "bb", "a-b", "app-0000000010", "app-0000000009", "app-00000000091", "c"} {
		s.Set(name, "nginx")
	}
	var got []string
	for line := range bytes.Lines(encode(t, format.NDJSON, s.Snapshot(), options)) {
		var row struct {
			Source struct{ Kind, Namespace, Name string }
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{row.Source.Kind, row.Source.Namespace, row.Source.Name}, " "))
	}
	want := []string{
		"Deployment team-a a-b", "Deployment team-a app-00000000091", "Deployment team-a ccc",
		"Deployment team-b a", "Deployment team-b b", "Deployment team-b c",
		"Deployment team-c aa", "Deployment team-c app-0000000009", "Deployment team-c app-0000000010", "Deployment team-c bb",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestSchemaTellsWhatIsWritten(t *testing.T) {
	of := small().Inventory()
	other := *of
	other.Columns = other.Columns[1:]
	for _, f := range []format.Format{format.Parquet, format.CSV} {
		if f.Schema(of) == f.Schema(&other) {
			t.Errorf("%s: other columns have an equal schema", f)
		}
	}
	if format.JSON.Schema(of) != format.JSON.Schema(&other) {
		t.Error("json: columns do not matter but change the schema")
	}
	if format.JSON.Schema(of) == format.NDJSON.Schema(of) {
		t.Error("two formats have an equal schema")
	}
}

// What was downloaded in part is completed, and what was exported is told apart,
// by the schema: bytes that change need another schemaVersion.
func TestBytesAreThoseOfTheSchemaVersion(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(5000)
	var got []byte
	for _, f := range format.All() {
		got = fmt.Appendf(got, "%s %x\n", f.Schema(s.Snapshot().Inventory()), sha256.Sum256(encode(t, f, s.Snapshot(), options)))
	}
	const golden = "testdata/digests"
	if diff := diffGolden(t, golden, got); diff != "" {
		t.Errorf("the bytes have changed: raise its schemaVersion, then write %s anew: -want +got\n%s", golden, diff)
	}
}

// A write error ends the encoding and comes back as it is.
func TestWriteErrorIsReturned(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(3000)
	for _, f := range format.All() {
		for _, after := range []int{0, 1, 100_000} {
			err := f.Write(&failing{left: after}, s.Snapshot(), options)
			if err == nil || !strings.Contains(err.Error(), errFull.Error()) {
				t.Errorf("%s, after %d bytes: %v", f, after, err)
			}
		}
	}
}

type failing struct{ left int }

type fullError struct{}

func (fullError) Error() string { return "disk full" }

var errFull = fullError{}

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// diffGolden returns how got differs from a file, which -update writes anew.
func diffGolden(t *testing.T, golden string, got []byte) string {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Diff(string(want), string(got))
}
