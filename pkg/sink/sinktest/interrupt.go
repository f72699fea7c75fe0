package sinktest

import (
	"fmt"
	"testing"
)

// maxSteps is far above what anything here takes.
const maxSteps = 1000

var interruptions = map[Interruption]string{Refused: "refused", Cut: "cut", Unanswered: "unanswered"}

// atEachStep runs at for each step in turn, and each way in which it can go wrong,
// until at reports that there was no such step to interrupt.
func atEachStep(t *testing.T, at func(t *testing.T, n int, how Interruption) (interrupted bool)) {
	t.Helper()
	for how, name := range interruptions {
		for n, more := 0, true; more; n++ {
			if n == maxSteps {
				t.Fatalf("no end of steps after %d", n)
			}
			if !t.Run(fmt.Sprintf("%s at step %d", name, n), func(t *testing.T) {
				more = at(t, n, how)
			}) {
				return // it did not come to say whether there are more
			}
		}
	}
}
