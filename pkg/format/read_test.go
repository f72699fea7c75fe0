package format_test

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var stored = []format.Format{format.JSON, format.NDJSON, format.Parquet}

func many() *inventory.Snapshot {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(2000)
	return s.Snapshot()
}

// read returns the hashes of the rows in a file, by key.
func read(f format.Format, data []byte) (map[inventory.Key]inventory.RowHash, error) {
	rows := map[inventory.Key]inventory.RowHash{}
	take := func(e inventory.Entry) error {
		rows[e.Key] = e.Row.Hash()
		return nil
	}
	if f == format.Parquet {
		return rows, format.ReadParquet(bytes.NewReader(data), int64(len(data)), take)
	}
	return rows, format.ReadJSON(bytes.NewReader(data), f, take)
}

// What is read back has the hashes of what was written, whatever is in the rows.
func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	odd := sinktest.NewSample(inventory.Ref{Name: "platform"})
	odd.SetAttributes("a\"\\\u2028<&>", `{"":null,"a":{"b":[1.0,1e300,"\u0000\n"]},"image":5,"replicas":12345678901234567890}`)
	odd.SetAttributes("empty", `{}`)
	for name, snapshot := range map[string]*inventory.Snapshot{"none": small(), "many": many(), "odd": odd.Snapshot()} {
		want := map[inventory.Key]inventory.RowHash{}
		for e := range snapshot.All() {
			want[e.Key] = e.Row.Hash()
		}
		for _, f := range stored {
			var file bytes.Buffer
			if err := f.Write(&file, snapshot, format.Options{Generation: 7}); err != nil {
				t.Fatal(err)
			}
			got, err := read(f, file.Bytes())
			if err != nil {
				t.Fatalf("%s as %s: %v", name, f, err)
			}
			if !maps.Equal(want, got) {
				t.Errorf("%s as %s: -want +got\n%s", name, f, cmp.Diff(want, got))
			}
		}
	}
}

// A file that ends too soon is not read as if it were all.
func TestAFileThatWasCutOffIsAnError(t *testing.T) {
	snapshot := many()
	for _, f := range stored {
		var file bytes.Buffer
		if err := f.Write(&file, snapshot, format.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, part := range []int{1, file.Len()/2 + 1, file.Len() - 3} {
			if rows, err := read(f, file.Bytes()[:part]); err == nil {
				t.Errorf("%d of %d bytes of %s: %d rows and no error", part, file.Len(), f, len(rows))
			}
		}
	}
}

func TestReadingEndsWhenToldTo(t *testing.T) {
	enough := errors.New("enough")
	for _, f := range stored {
		var file bytes.Buffer
		if err := f.Write(&file, many(), format.Options{}); err != nil {
			t.Fatal(err)
		}
		rows := 0
		stop := func(inventory.Entry) error {
			if rows++; rows == 3 {
				return enough
			}
			return nil
		}
		var err error
		if f == format.Parquet {
			err = format.ReadParquet(bytes.NewReader(file.Bytes()), int64(file.Len()), stop)
		} else {
			err = format.ReadJSON(&file, f, stop)
		}
		if !errors.Is(err, enough) || rows != 3 {
			t.Errorf("%s: %v after %d rows", f, err, rows)
		}
	}
}
