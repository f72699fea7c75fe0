package collect

import (
	"context"
	"slices"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// delivering is an API that delivers events.
type delivering []watch.Event

func (d delivering) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return nil, context.Canceled
}

func (d delivering) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	w := watch.NewFakeWithChanSize(len(d), false)
	for _, event := range d {
		w.Action(event.Type, event.Object)
	}
	w.Stop()
	return w, nil
}

// keepers keeps the objects whose value is not "hidden".
type keepers struct{}

func (keepers) convert(o *unstructured.Unstructured) (runtime.Object, bool) {
	value, _, _ := unstructured.NestedString(o.Object, "spec", "value")
	converted := newObject(o)
	return &converted, value != "hidden"
}

func TestInitialEventsLeaveOutOnlyWhatWasNeverKept(t *testing.T) {
	bookmark := widget("bookmark", "", "9", "")
	var group sync.WaitGroup
	defer group.Wait()
	s := &source{
		api: delivering{
			{Type: watch.Added, Object: widget("never", "u1", "1", "hidden")},
			{Type: watch.Added, Object: widget("once", "u2", "2", "x")},
			{Type: watch.Modified, Object: widget("once", "u2", "3", "hidden")},
			{Type: watch.Bookmark, Object: bookmark},
			{Type: watch.Added, Object: widget("later", "u3", "10", "hidden")},
		},
		gvr:       widgets,
		converter: func() converter { return keepers{} },
		began:     func() {},
		note:      func(outcome) {},
		spawn:     group.Go,
	}
	initial := true
	w, err := s.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: &initial})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for event := range w.ResultChan() {
		name := "bookmark"
		if o, ok := event.Object.(*object); ok {
			name = o.name
		}
		got = append(got, string(event.Type)+" "+name)
	}
	want := []string{"ADDED once", "MODIFIED once", "BOOKMARK bookmark", "ADDED later"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// paged is an API whose lists have a next page.
type paged struct{ delivering }

func (paged) List(_ context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list := &unstructured.UnstructuredList{Object: map[string]any{}}
	if options.Continue == "" {
		list.SetContinue("next")
	}
	return list, nil
}

func TestAListIsWellOnceItIsComplete(t *testing.T) {
	initial, well := true, outcome{verb: "watch"}
	cut := outcome{"watch", "list widgets.example.io: the API server ended the list before it was complete and is asked again"}
	added := watch.Event{Type: watch.Added, Object: widget("w", "u1", "1", "x")}
	refusal := apierrors.NewBadRequest("no initial events").Status()
	for _, test := range []struct {
		name   string
		events delivering
		want   []outcome
	}{
		{"complete", delivering{added, {Type: watch.Bookmark, Object: widget("bookmark", "", "9", "")}, added}, []outcome{well}},
		{"cut", delivering{added}, []outcome{cut}},
		{"not supported", delivering{{Type: watch.Error, Object: &refusal}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var group sync.WaitGroup
			var got []outcome
			s := &source{
				api:       paged{test.events},
				gvr:       widgets,
				converter: func() converter { return keepers{} },
				began:     func() {},
				note:      func(o outcome) { got = append(got, o) },
				spawn:     group.Go,
			}
			w, err := s.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: &initial})
			if err != nil {
				t.Fatal(err)
			}
			for range w.ResultChan() {
			}
			group.Wait()
			if !slices.Equal(got, test.want) {
				t.Errorf("outcomes of the watch: %q, want %q", got, test.want)
			}
			got = nil
			for _, token := range []string{"", "next"} {
				if _, err := s.ListWithContext(t.Context(), metav1.ListOptions{Continue: token}); err != nil {
					t.Fatal(err)
				}
				if want := token != ""; len(got) > 0 != want {
					t.Errorf("outcomes after page %q: %q", token, got)
				}
			}
		})
	}
}
