package inventory

import (
	"slices"
	"testing"
)

func TestAheadYieldsTheSameUpdates(t *testing.T) {
	rows := testRows(8)
	for n := range 3*aheadRows + 2 {
		want := make([]Update, n)
		for i := range want {
			if want[i].Key[0] = byte(i); i%3 > 0 {
				want[i].Row = rows[i%len(rows)]
			}
		}
		if got := slices.Collect(Ahead(slices.Values(want))); !slices.Equal(got, want) {
			t.Fatalf("of %d updates %d were yielded, or others", n, len(got))
		}
		for stop := range n {
			var got []Update
			for u := range Ahead(slices.Values(want)) {
				if got = append(got, u); len(got) > stop {
					break
				}
			}
			if !slices.Equal(got, want[:stop+1]) {
				t.Fatalf("of %d updates %d were yielded until it was told to stop, or others", n, len(got))
			}
		}
	}
}
