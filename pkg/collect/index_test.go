package collect

import (
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

func TestAFailureTakesNoRowOfTheSameObject(t *testing.T) {
	b := newBench(t)
	target := widgetTarget("t")
	target.Match = not("hidden")
	set := func(revision string) {
		target.Revision, target.Extract = revision, valueOf("1")
		b.set(target)
	}
	set("1")
	b.listBegan()
	b.relist("5", b.evaluate(widget("w", "u", "4", "x")))
	b.see(widget("w", "u", "6", "bad"))
	b.want("t", row("w", "u", "x"))
	b.see(widget("w", "u", "7", "panic"))
	b.want("t", row("w", "u", "x"))
	b.see(widget("w", "u", "8", "y"))
	b.want("t", row("w", "u", "y"))
	b.see(widget("w", "u2", "9", "bad")) // another object
	b.want("t")
	b.see(widget("w", "u2", "10", "z"))
	b.want("t", row("w", "u2", "z"))
	set("2")
	b.backfilled(widget("w", "u2", "11", "bad"))
	b.want("t") // the row was of what the target does not say any more
	b.see(widget("w", "u2", "12", "hidden"))
	b.want("t")
}

func TestObjectsWithoutUIDAreFailures(t *testing.T) {
	b := newBench(t, "t")
	b.listBegan()
	b.relist("5", b.evaluate(widget("v", "", "2", "x"), widget("w", "", "3", "x"), widget("good", "u", "4", "x")))
	b.want("t", row("good", "u", "x"))
	failures := b.collector.Failures(inventory.TargetRef{Namespace: "tenant", Name: "t"})
	if len(failures) != 1 || failures[0].Objects != 2 || !strings.Contains(failures[0].Message, "metadata.uid") {
		t.Errorf("failures %+v, want one of two objects that names metadata.uid", failures)
	}
}

func TestThereIsNewsWhenTheNumberOfRowsChanges(t *testing.T) {
	b := newBench(t, "t", "other")
	other := widgetTarget("other")
	other.Names = []string{"nothing"}
	other.Revision = "2"
	b.set(other)
	b.listBegan()
	b.relist("5", nil)
	news := map[string]int{}
	b.collector.options.Changed = func(ref inventory.TargetRef) { news[ref.Name]++ }
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"a new object", func() { b.see(widget("w", "u", "6", "x")) }, 1},
		{"a changed object", func() { b.see(widget("w", "u", "7", "y")) }, 0},
		{"a deleted object", func() { b.deleted("w", "8") }, 1},
		{"an unknown object", func() { b.deleted("w", "9") }, 0},
	} {
		clear(news)
		step.do()
		if news["t"] != step.want || news["other"] != 0 {
			t.Errorf("news of %s: %v, want %d of t", step.name, news, step.want)
		}
	}
}
