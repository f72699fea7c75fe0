package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// opened are the sinks that were opened, and what fails.
type opened struct {
	mu    sync.Mutex // guards what follows
	sinks []*memorySink
	token []string
	err   error
}

func (o *opened) open(_ context.Context, config SinkConfig) (sink.SnapshotStore, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	s := &memorySink{marks: map[inventory.Ref]sink.Mark{}}
	o.sinks = append(o.sinks, s)
	o.token = append(o.token, string(config.Secret["token"]))
	return s, nil
}

func (o *opened) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *opened) tokens() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.token)
}

func (o *opened) closed() (open, closed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.sinks {
		s.mu.Lock()
		if s.closed {
			closed++
		} else {
			open++
		}
		s.mu.Unlock()
	}
	return open, closed
}

func objectStoreSink(secret *kollectv1alpha1.SecretReference) *kollectv1alpha1.KollectSink {
	return &kollectv1alpha1.KollectSink{
		ObjectMeta: named("a", "lake"),
		Spec: kollectv1alpha1.SinkSpec{
			Type: kollectv1alpha1.SinkObjectStore, ObjectStore: &kollectv1alpha1.ObjectStoreSink{URL: "file:///lake"}, SecretRef: secret,
		},
	}
}

func tokenSecret(namespace, token, version string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "token", UID: "s", ResourceVersion: version},
		Data:       map[string][]byte{"token": []byte(token)},
	}
}

// leading runs a term with one inventory that goes to the sink.
func leading(t *testing.T, o *kollectv1alpha1.KollectSink, prepare func(*harness), objects ...runtime.Object) (*harness, *opened) {
	t.Helper()
	inv := &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")}
	inv.Spec.SinkRefs = []kollectv1alpha1.SinkReference{{Name: "lake"}}
	h := newHarness(t, append(objects, o, inv)...)
	prepare(h)
	sinks := &opened{}
	h.config.Openers = map[kollectv1alpha1.SinkType]Opener{kollectv1alpha1.SinkObjectStore: SnapshotStore(sinks.open)}
	h.reconcile(h.reconcileInventory, key{"a", "apps"})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.lead(ctx, func(context.Context) (bool, error) { return true, nil })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if open, _ := sinks.closed(); open != 0 {
			t.Errorf("%d sinks are open after the term", open)
		}
	})
	pass(5 * time.Second)
	return h, sinks
}

func (h *harness) sinkReady(status metav1.ConditionStatus, reason string, words ...string) {
	h.Helper()
	o, _ := h.sinkKind.lookup(key{"a", "lake"})
	s := h.sinkStatus.change(o, func(*kollectv1alpha1.SinkDestinationStatus) {})
	wantCondition(h.T, s.Conditions, "Ready", status, reason, words...)
}

// exported is how the inventory's sink is shown.
func (h *harness) exported() kollectv1alpha1.InventoryStatus {
	h.Helper()
	h.reconcile(h.reconcileInventoryStatus, key{"a", "apps"})
	o, _ := h.inventoryKind.lookup(key{"a", "apps"})
	return h.inventoryStatus.change(o, func(*kollectv1alpha1.InventoryStatus) {})
}

func TestASinkIsOpenedAndExportedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		h.sinkReady("True", "Ready")
		status := h.exported()
		wantCondition(t, status.Conditions, "Exported", "True", "Exported")
		if len(status.Sinks) != 1 || status.Sinks[0].Generation != 1 || status.Generation != 1 || status.Sinks[0].LastSuccessTime == nil {
			t.Errorf("status %+v, want generation 1 at the sink", status)
		}
		live, err := h.inventoryKind.get(t.Context(), key{"a", "apps"})
		if err != nil {
			t.Fatal(err)
		}
		if o, _ := h.inventoryKind.open(live); o.status.ReservedGeneration < 1 {
			t.Errorf("status %+v, want a reservation", o.status)
		}

		changed := objectStoreSink(nil)
		changed.Generation, changed.Spec.ObjectStore.URL = 2, "file:///elsewhere"
		h.see(changed)
		h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
		pass(5 * time.Second)
		if open, closed := sinks.closed(); open != 1 || closed != 1 {
			t.Errorf("%d sinks are open and %d closed after a change, want 1 and 1", open, closed)
		}
		h.lose(h.sinkKind.namespaced, changed)
		h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
		pass(5 * time.Second)
		if open, _ := sinks.closed(); open != 0 {
			t.Error("a deleted sink is open")
		}
		wantCondition(t, h.exported().Conditions, "Exported", "False", "SinkNotFound", "KollectSink a/lake")
	})
}

func TestAPassingErrorRetiresNoSink(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		uid    types.UID
		stands bool
	}{
		{"passing", errors.New("connection refused"), "uid-lake", true},
		{"permanent", sink.Permanent(errors.New("spec.objectStore.url: must be a URL")), "uid-lake", false},
		{"of another sink of that name", errors.New("connection refused"), "another", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
				changed := objectStoreSink(nil)
				changed.UID, changed.Generation = tc.uid, 2
				h.see(changed)
				sinks.fail(tc.err)
				h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
				pass(30 * time.Second)
				h.sinkReady("False", "OpenFailed")
				if open, _ := sinks.closed(); (open == 1) != tc.stands {
					t.Errorf("%d sinks are open, want the former one: %v", open, tc.stands)
				}
				if !tc.stands {
					return
				}
				broke := time.Now()
				pass(2 * time.Minute)
				status := h.exported()
				wantCondition(t, status.Conditions, "Exported", "False", "SinkNotReady", "connection refused")
				if s := status.Sinks[0]; s.LastSuccessTime == nil || !s.LastSuccessTime.After(broke) || !strings.Contains(s.LastError, "connection refused") {
					t.Errorf("status of the sink %+v, want successes at the former one, and why it is not the new one", s)
				}
				sinks.fail(nil)
				pass(2 * time.Minute)
				h.sinkReady("True", "Ready")
				if open, closed := sinks.closed(); open != 1 || closed != 1 {
					t.Errorf("%d sinks are open and %d closed, want 1 and 1", open, closed)
				}
				wantCondition(t, h.exported().Conditions, "Exported", "True", "Exported")
			})
		})
	}
}

func TestASinkInUseIsClosedByItsLastUser(t *testing.T) {
	closes := 0
	s := noSinks()
	open := &openSink{
		sink:    Sink{Close: func() error { closes++; return nil }},
		closing: func(closeSink func() error) { _ = closeSink() },
	}
	s.set(key{"a", "lake"}, sinkState{open: open})
	one, two := s.acquire(key{"a", "lake"}), s.acquire(key{"a", "lake"})
	s.set(key{"a", "lake"}, sinkState{problem: problemf("Gone", "gone")})
	if again := s.acquire(key{"a", "lake"}); again != nil {
		t.Error("a retired sink has a new user")
	}
	one.release()
	if closes != 0 {
		t.Error("closed while in use")
	}
	two.release()
	if closes != 1 {
		t.Errorf("closed %d times, want once", closes)
	}
}

func TestSinksThatCanNotBeOpened(t *testing.T) {
	token := &kollectv1alpha1.SecretReference{Name: "token"}
	forbidden := apierrors.NewForbidden(corev1.Resource("secrets"), "token", errors.New("no"))
	for _, tc := range []struct {
		name    string
		sink    *kollectv1alpha1.KollectSink
		secrets []runtime.Object
		read    error // of Secrets
		open    error
		reason  string
		words   []string
	}{
		{name: "a Secret that does not exist", sink: objectStoreSink(token), reason: "SecretNotFound", words: []string{"spec.secretRef", "a/token", "create it"}},
		{name: "a Secret of another namespace", sink: objectStoreSink(token), secrets: []runtime.Object{tokenSecret("b", "t", "1")}, reason: "SecretNotFound", words: []string{"a/token"}},
		{name: "a reference to another namespace", sink: objectStoreSink(&kollectv1alpha1.SecretReference{Namespace: "b", Name: "token"}),
			secrets: []runtime.Object{tokenSecret("b", "t", "1")}, reason: "InvalidSpec", words: []string{"spec.secretRef.namespace", "remove the field"}},
		{name: "a Secret that the server may not read", sink: objectStoreSink(token), read: forbidden, reason: "SecretForbidden", words: []string{"a/token", "RoleBinding", "resourceNames: [token]"}},
		{name: "an API server that is down", sink: objectStoreSink(token), read: errors.New("connection refused"), reason: "SecretUnreadable", words: []string{"connection refused"}},
		{name: "a destination that refuses", sink: objectStoreSink(nil), open: errors.New("dial https://user:hidden@host: refused"), reason: "OpenFailed", words: []string{"spec.objectStore: dial https://host: refused"}},
		{name: "a field that is not valid", sink: objectStoreSink(nil), open: sink.Permanent(errors.New("spec.objectStore.url: must be a URL")), reason: "OpenFailed", words: []string{"spec.objectStore.url: must be"}},
		{name: "a type that is not built", sink: &kollectv1alpha1.KollectSink{ObjectMeta: named("a", "lake"), Spec: kollectv1alpha1.SinkSpec{Type: "http"}}, reason: "NotImplemented", words: []string{"sink type http is not available in this version"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, append(tc.secrets, tc.sink)...)
				h.core.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
					return tc.read != nil, nil, tc.read
				})
				sinks := &opened{err: tc.open}
				h.config.Openers = map[kollectv1alpha1.SinkType]Opener{kollectv1alpha1.SinkObjectStore: SnapshotStore(sinks.open)}
				term := &term{controller: h.Controller, sinks: noSinks(), sinkQueue: newQueue(""), pairQueue: newQueue("")}
				defer term.sinkQueue.ShutDown()
				defer term.pairQueue.ShutDown()
				if err := term.reconcileSink(t.Context(), key{"a", "lake"}); err != nil {
					t.Fatal(err)
				}
				h.sinkReady("False", tc.reason, tc.words...)
				o, _ := h.sinkKind.lookup(key{"a", "lake"})
				s := h.sinkStatus.change(o, func(*kollectv1alpha1.SinkDestinationStatus) {})
				if strings.Contains(s.Conditions[0].Message, "hidden") {
					t.Errorf("the message has a secret: %s", s.Conditions[0].Message)
				}
				if len(sinks.sinks) != 0 {
					t.Error("a sink is open")
				}
			})
		})
	}
}

func noSinks() sinks { return sinks{byKey: map[key]sinkState{}} }

func TestARotatedSecretIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		h, sinks := leading(t, objectStoreSink(&kollectv1alpha1.SecretReference{Name: "token"}), func(h *harness) {
			h.core.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				return down.Load(), nil, errors.New("connection refused")
			})
		}, tokenSecret("a", "first", "1"))
		h.sinkReady("True", "Ready")
		pass(5 * time.Minute) // read again, and the same
		if len(sinks.tokens()) != 1 {
			t.Errorf("opened %d times, want once", len(sinks.tokens()))
		}
		down.Store(true)
		pass(5 * time.Minute)
		h.sinkReady("True", "Ready")
		down.Store(false)
		if err := h.core.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), tokenSecret("a", "second", "2"), "a"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		if len(sinks.tokens()) != 2 || sinks.tokens()[1] != "second" {
			t.Errorf("opened with %q, want the second token at last", sinks.tokens())
		}
		if open, closed := sinks.closed(); open != 1 || closed != 1 {
			t.Errorf("%d sinks are open and %d closed, want 1 and 1", open, closed)
		}
		wantCondition(t, h.exported().Conditions, "Exported", "True", "Exported")
		if err := h.core.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("secrets"), "a", "token"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		h.sinkReady("False", "SecretNotFound")
		wantCondition(t, h.exported().Conditions, "Exported", "False", "SinkNotReady", "sink lake", "a/token")
	})
}
