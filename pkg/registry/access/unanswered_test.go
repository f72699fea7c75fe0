package access

import (
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kollect.io/kollect/pkg/inventory"
)

// To leave out rows of partitions that could not be asked about would look as if
// they were gone.
func TestWithoutAnAnswerThereIsNoTable(t *testing.T) {
	for name, failing := range map[string]inventory.Partition{
		"of a resource":  partition("pods", ""),
		"of a partition": partition("pods", "b"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inventory.NewStore(inventory.Options{})
				put(s, partition("pods", "a"), partition("pods", "b"))
				says := newScript(t, partition("pods", "a"), partition("pods", "b"))
				c := New(s, says, Options{}).Caller(alice)
				refused := func() {
					t.Helper()
					if _, err := c.Table(t.Context()); !apierrors.IsServiceUnavailable(err) {
						t.Errorf("got %v", err)
					}
				}
				says.fail(failing, true)
				refused()
				says.fail(failing, false)
				first := check(t, s, c, partition("pods", "a"), partition("pods", "b"))
				says.fail(failing, true)
				if mustTable(t, c) != first {
					t.Error("asked again at once")
				}
				time.Sleep(6 * time.Second)
				refused()
				says.fail(failing, false)
				if again := check(t, s, c, partition("pods", "a"), partition("pods", "b")); again.Since() != first.Since() {
					t.Error("the rights count as changed")
				}
			})
		})
	}
}

// A failure that meets only what was denied shows no fewer rows than before.
func TestWhatWasDeniedIsAskedAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inventory.NewStore(inventory.Options{})
		put(s, partition("pods", "a"), partition("pods", "b"), partition("pods", "c"))
		says := newScript(t, partition("pods", "a"))
		c := New(s, says, Options{}).Caller(alice)
		check(t, s, c, partition("pods", "a"))
		says.set(partition("pods", "b"), true)
		says.set(partition("pods", "c"), true)
		says.fail(partition("pods", "b"), true)
		time.Sleep(6 * time.Second)
		mustTable(t, c)
		says.fail(partition("pods", "b"), false)
		time.Sleep(6 * time.Second)
		check(t, s, c, partition("pods", "a"), partition("pods", "b"), partition("pods", "c"))
	})
}
