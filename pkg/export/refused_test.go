package export

import (
	"strings"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// A row that does not fit holds nothing else back, is deleted where it did fit
// before, and is told of until it fits or is gone, also by another process.
func TestRowsThatKeepersRefuse(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		fake.refuses = func(r *inventory.Row) bool { return strings.Contains(r.Attributes(), "large") }
		told := func(want string) {
			t.Helper()
			state := f.state()
			if want == "" && state.Outcome != Exported || want != "" && (state.Outcome != RowsRefused || state.LastError != want) {
				t.Errorf("%s: %q, want %q", state.Outcome, state.LastError, want)
			}
			fake.holds(f.snapshot())
		}
		f.setTarget(target, true, rows(50)...)
		f.setTarget(second, true)
		export()
		told("")
		f.put(row("pod-7", "large"), row("pod-8", "2"), row("new", "large"))
		told("rows that are left out: 2, such as " + f.firstOf("pod-7", "new") + " is too large")
		fake.wantDeltas(2, 52)
		f.put(row("pod-9", "2"))
		fake.wantDeltas(3, 53)

		f.stop()
		f.restart()
		export()
		f.wait(time.Second)
		told("rows that are left out: 2, such as " + f.firstOf("pod-7", "new") + " is too large")
		fake.wantDeltas(3, 53)
		f.wait(61 * time.Second)
		if got := fake.saw(); got.confirms == 0 {
			t.Error("what is held is not confirmed")
		}

		f.put(row("pod-7", "3"))
		told("rows that are left out: 1, such as new is too large")
		f.remove(row("new", "large"))
		told("")
		fake.wantDeltas(4, 54)
	})
}

// firstOf returns which of two rows of the snapshot comes first.
func (f *fixture) firstOf(names ...string) string {
	for e := range f.snapshot().All() {
		for _, name := range names {
			if e.Row.Name() == name {
				return name
			}
		}
	}
	f.Fatalf("the snapshot has none of %v", names)
	return ""
}
