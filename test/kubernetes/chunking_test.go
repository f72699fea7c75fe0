package kubernetes

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// objects is how many objects are listed in chunks.
const objects = 400

// Of test/e2e/apimachinery/chunking.go. It stops the server, so it is not
// parallel: all others begin after it.
func TestServersWithSupportForAPIChunking(t *testing.T) {
	s := begin(t, "chunking")
	s.create(objects)
	t.Run("should return chunks of results for list calls", s.chunks)
	t.Run("should support continue listing from the last key if the original version has been compacted away, though the list is inconsistent", s.inconsistentChunks)

	// Others count what cluster inventories have.
	s.cp.MustKubectl(t, "delete", "kollecttarget", "--all", "-n", s.ns)
	s.until(func() error {
		list, err := s.views[1].client.List(t.Context(), metav1.ListOptions{Limit: 1})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("there are still rows")
		}
		return err
	})
}

// create makes ConfigMaps, and waits until they are rows.
func (s *scene) create(n int) {
	s.Helper()
	var group sync.WaitGroup
	errs := make(chan error, n)
	const writers = 8
	for first := range writers {
		group.Go(func() {
			for i := first; i < n; i += writers {
				errs <- s.tryPut(s.Context(), fmt.Sprintf("template-%04d", i), nil, nil)
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		s.must(err)
	}
	s.counted(n)
}

// counted waits until there are rows of n objects in all views.
func (s *scene) counted(n int) {
	s.Helper()
	for _, v := range s.views {
		s.until(func() error {
			list, err := v.client.List(s.Context(), metav1.ListOptions{})
			if err == nil && len(list.Items) != n*v.each {
				err = fmt.Errorf("%s: got %d rows, want %d", v.resource, len(list.Items), n*v.each)
			}
			return err
		})
	}
}

func (s *scene) chunks(t *testing.T) {
	for _, v := range s.views {
		t.Run(v.resource, func(t *testing.T) {
			s := s.in(t)
			for range 3 {
				c := &chunks{T: t, view: v}
				c.next(metav1.ListOptions{Limit: 17})
				s.putWait("template-later", nil, nil) // is in none of the chunks
				c.rest(metav1.ListOptions{Limit: 17, Continue: c.token})
				c.complete()
				s.remove("template-later")
				s.gone("template-later")
			}
			all, err := v.client.List(t.Context(), metav1.ListOptions{Limit: int64(objects*v.each) + 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(all.Items); got != objects*v.each {
				t.Errorf("all at once: got %d rows, want %d", got, objects*v.each)
			}
		})
	}
}

func (s *scene) inconsistentChunks(t *testing.T) {
	s = s.in(t)
	const limit = objects / 10
	lists := make([]*chunks, len(s.views))
	for i, v := range s.views {
		lists[i] = &chunks{T: t, view: v}
		lists[i].next(metav1.ListOptions{Limit: limit})
	}
	// As long as the version is there, the token of a page is good for the next.
	for _, c := range lists {
		if _, err := c.client.List(t.Context(), metav1.ListOptions{Limit: limit, Continue: c.token}); err != nil {
			t.Fatalf("%s: %v", c.resource, err)
		}
	}
	// Nothing that was before a start is there after it.
	s.must(s.server.Kill())
	s.must(s.server.Start(t.Context()))
	s.must(s.server.Register(t.Context()))
	s.counted(objects)
	for _, c := range lists {
		t.Run(c.resource, func(t *testing.T) {
			c.T = t
			_, err := c.client.List(t.Context(), metav1.ListOptions{Limit: limit, Continue: c.token})
			var status apierrors.APIStatus
			if !errors.As(err, &status) || !apierrors.IsResourceExpired(err) {
				t.Fatalf("list: got %v, want that the token is expired", err)
			}
			c.token = status.Status().ListMeta.Continue
			if bound := c.resource == "accessiblerows"; bound != (c.token == "") {
				t.Fatalf("token for the inconsistent rest: got %q", c.token)
			} else if bound {
				// Other than those of Kubernetes: a token is good for the rights with which
				// it was made, and a server that has just started does not know those.
				c.rows = nil
			}
			first := c.version
			c.version = ""
			page := c.next(metav1.ListOptions{Limit: limit, Continue: c.token})
			if len(page) != limit || c.version == first {
				t.Errorf("got %d rows of version %s, want %d of another version", len(page), c.version, limit)
			}
			c.rest(metav1.ListOptions{Limit: limit, Continue: c.token})
			c.complete()
		})
	}
}

// chunks is a list that comes in chunks.
type chunks struct {
	*testing.T
	view
	version, token string
	rows           []unstructured.Unstructured
}

// next gets a chunk, and checks it against those before.
func (c *chunks) next(options metav1.ListOptions) []unstructured.Unstructured {
	c.Helper()
	list, err := c.client.List(c.Context(), options)
	if err != nil {
		c.Fatal(err)
	}
	if int64(len(list.Items)) > options.Limit {
		c.Errorf("got %d rows, want %d at most", len(list.Items), options.Limit)
	}
	if c.version == "" {
		c.version = list.GetResourceVersion()
	}
	if list.GetResourceVersion() != c.version || c.version == "" {
		c.Errorf("got version %q, want that of the first chunk, %q", list.GetResourceVersion(), c.version)
	}
	c.rows, c.token = append(c.rows, list.Items...), list.GetContinue()
	switch remaining := list.GetRemainingItemCount(); {
	case c.token == "" && remaining != nil:
		c.Errorf("the last chunk says that %d rows remain", *remaining)
	case c.token != "" && remaining == nil:
		c.Error("a chunk that is not the last does not say how many rows remain")
	case c.token != "" && int(*remaining)+len(c.rows) != objects*c.each:
		c.Errorf("got %d rows up to here and %d that remain, want %d in all", len(c.rows), *remaining, objects*c.each)
	}
	return list.Items
}

// rest gets all further chunks.
func (c *chunks) rest(options metav1.ListOptions) {
	c.Helper()
	for {
		c.next(options)
		if c.token == "" || c.Failed() {
			return
		}
		options.Continue = c.token
	}
}

// complete checks that all chunks together have all rows, in order.
func (c *chunks) complete() {
	c.Helper()
	if c.Failed() {
		return
	}
	sources, last := map[string]int{}, ""
	for i := range c.rows {
		if name := c.rows[i].GetName(); name <= last {
			c.Errorf("row %s comes after %s", name, last)
		}
		last = c.rows[i].GetName()
		sources[sourceOf(&c.rows[i])]++
	}
	for i := range objects {
		if name := fmt.Sprintf("template-%04d", i); sources[name] != c.each {
			c.Errorf("got %s %d times, want %d", name, sources[name], c.each)
		}
	}
	if len(c.rows) != objects*c.each {
		c.Errorf("got %d rows, want %d", len(c.rows), objects*c.each)
	}
}
