package format_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// readCSV returns the header and the rows.
func readCSV(t *testing.T, data []byte) (header []string, rows [][]string) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	return all[0], all[1:]
}

// nasty are attributes that need care, by name.
var nasty = map[string]string{
	"a-absent":   `{}`,
	"b-null":     `{"image":null,"paused":null,"ratio":null,"replicas":null}`,
	"c-misfits":  `{"image":7,"paused":"true","ratio":"0.5","replicas":2.5}`,
	"d-json":     `{"image":{"a":[1,"}"]},"paused":1,"ratio":3,"replicas":"3"}`,
	"e-escapes":  `{"image":"a\"b\\\u003c\n,c\td","ratio":-1e3,"replicas":-9223372036854775808}`,
	"f-large":    `{"image":"","ratio":1e999,"replicas":9223372036854775808}`,
	"g-formula":  `{"image":"=HYPERLINK(\"http://example.com\")","paused":true}`,
	"h-sign":     `{"image":"-1+1","ratio":0.1}`,
	"i-blanks":   `{"image":"  x ","paused":false}`,
	"j-quotes":   `{"image":"\"\"","replicas":0}`,
	"k-at":       `{"image":"@SUM(A1)","other":"a,\"b\"\n"}`,
	"l-unicode":  `{"image":"naïve ☃"}`,
	"m-carriage": `{"image":"a\rb"}`,
}

// CSV and Parquet have the same columns with the same values, whatever those are.
func TestCSVHasWhatParquetHas(t *testing.T) {
	for name, ref := range map[string]inventory.Ref{"namespaced": {Namespace: "team-a", Name: "apps"}, "cluster": {Name: "platform"}} {
		t.Run(name, func(t *testing.T) {
			s := sinktest.NewSample(ref)
			for name, attributes := range nasty {
				s.SetAttributes(name, attributes)
			}
			for _, o := range []format.Options{options, {}} {
				file := open(t, encode(t, format.Parquet, s.Snapshot(), o))
				header, rows := readCSV(t, encode(t, format.CSV, s.Snapshot(), o))
				var columns []string
				for _, path := range file.Schema().Columns() {
					columns = append(columns, path[0])
				}
				if diff := cmp.Diff(columns, header); diff != "" {
					t.Errorf("-parquet +csv\n%s", diff)
				}
				var got []map[string]string
				for _, row := range rows {
					got = append(got, asInParquet(t, header, row))
				}
				want := readAll(t, file)
				for _, row := range want {
					maps.DeleteFunc(row, func(_, value string) bool { return value == "" })
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("-parquet +csv\n%s", diff)
				}
			}
		})
	}
}

// asInParquet returns the values of a line that are not empty, as the texts that
// the reader of Parquet makes of them.
func asInParquet(t *testing.T, header, row []string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for i, value := range row {
		switch header[i] {
		case "created_at", "exported_at":
			if at, err := time.Parse(time.RFC3339, value); err == nil {
				value = strconv.FormatInt(at.UnixMilli(), 10)
			} else if value != "" {
				t.Error(err)
			}
		case "attr_ratio":
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				value = strconv.FormatFloat(f, 'g', -1, 64)
			} else if value != "" {
				t.Error(err)
			}
		}
		if value != "" {
			values[header[i]] = value
		}
	}
	return values
}

// The lines end as RFC 4180 says, and those who tell "" from nothing can tell an
// empty value from none.
func TestCSVTellsEmptyFromNone(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.SetAttributes("a", `{"image":""}`)
	s.SetAttributes("b", `{}`)
	lines := strings.Split(string(encode(t, format.CSV, s.Snapshot(), format.Options{})), "\r\n")
	if len(lines) != 4 || lines[3] != "" || !strings.HasSuffix(lines[1], `,"",,,`) || !strings.HasSuffix(lines[2], `,"{}",,,,`) {
		t.Errorf("got %q", lines)
	}
}

// FuzzCSV reads back what was written of any promoted string.
func FuzzCSV(f *testing.F) {
	for _, attributes := range nasty {
		f.Add(attributes)
	}
	f.Fuzz(func(t *testing.T, image string) {
		value, err := json.Marshal(strings.ToValidUTF8(strings.ReplaceAll(image, "\r", ""), "")) // the reader drops some of these
		if err != nil {
			t.Fatal(err)
		}
		s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
		s.SetAttributes("a", `{"image":`+string(value)+`}`)
		header, rows := readCSV(t, encode(t, format.CSV, s.Snapshot(), format.Options{}))
		got := asInParquet(t, header, rows[0])
		var want string
		if err := json.Unmarshal(value, &want); err != nil {
			t.Fatal(err)
		}
		if got["attr_image"] != want || got["attributes"] != `{"image":`+string(value)+`}` {
			t.Errorf("%q: got %q, %s", want, got["attr_image"], got["attributes"])
		}
	})
}
