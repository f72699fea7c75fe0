package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
)

// SinkConfig is what a sink is opened with.
type SinkConfig struct {
	// Namespace of the sink; empty for a cluster sink, which is an administrator's.
	Namespace string
	Spec      *kollectv1alpha1.SinkSpec
	// Secret is what the Secret holds that the sink names; nil if it names none,
	// and only then.
	Secret map[string][]byte
}

// Sink is an open sink.
type Sink struct {
	// Store is what was opened: a sink.SnapshotStore, sink.RelationalStore or
	// sink.EventEmitter.
	Store sink.Store
	// Destination returns an inventory's place in the sink.
	Destination func() export.Destination
	// Close frees the sink. Its destinations are not in use then.
	Close func() error
}

// Opener opens the sinks of a type. Its errors have no secrets in them; one that
// sink.IsPermanent is not tried again before something changes.
type Opener func(context.Context, SinkConfig) (Sink, error)

// SnapshotStore makes an opener of one that opens snapshot stores.
func SnapshotStore(open func(context.Context, SinkConfig) (sink.SnapshotStore, error)) Opener {
	return func(ctx context.Context, config SinkConfig) (Sink, error) {
		store, err := open(ctx, config)
		if err != nil {
			return Sink{}, err
		}
		return Sink{
			Store:       store,
			Destination: func() export.Destination { return export.FromSnapshotStore(store) },
			Close:       store.Close,
		}, nil
	}
}

// RelationalStore makes an opener of one that opens relational stores.
func RelationalStore(open func(context.Context, SinkConfig) (sink.RelationalStore, error)) Opener {
	return func(ctx context.Context, config SinkConfig) (Sink, error) {
		store, err := open(ctx, config)
		if err != nil {
			return Sink{}, err
		}
		return Sink{
			Store:       store,
			Destination: func() export.Destination { return export.FromRelationalStore(store) },
			Close:       store.Close,
		}, nil
	}
}

// EventEmitter makes an opener of one that opens event emitters.
func EventEmitter(open func(context.Context, SinkConfig) (sink.EventEmitter, error)) Opener {
	return func(ctx context.Context, config SinkConfig) (Sink, error) {
		emitter, err := open(ctx, config)
		if err != nil {
			return Sink{}, err
		}
		return Sink{
			Store:       emitter,
			Destination: func() export.Destination { return export.FromEventEmitter(emitter) },
			Close:       emitter.Close,
		}, nil
	}
}

const (
	// minReopenInterval is when a sink is opened again that can't be, twice as long
	// each time until it is reopenInterval: it may be away for a restart.
	minReopenInterval = time.Second
	reopenInterval    = time.Minute
	openTimeout       = 30 * time.Second
	// defaultWriteInterval is that of the sinks that write a whole snapshot.
	defaultWriteInterval = 30 * time.Second
)

// openSink is a sink in use: closed once it is retired and all its users are
// done.
type openSink struct {
	sink     Sink
	revision string
	closing  func(func() error) // runs a close in a goroutine that is waited for

	mu      sync.Mutex // guards what follows
	users   int
	retired bool
}

func (s *openSink) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.closeIfUnused()
}

func (s *openSink) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	s.closeIfUnused()
}

func (s *openSink) closeIfUnused() {
	if s.retired && s.users == 0 && s.sink.Close != nil {
		s.closing(s.sink.Close)
	}
}

// sinkState is what is known of a sink: it is open, or there is a problem; or
// both, when it is open as it was and can't be opened as it is.
type sinkState struct {
	open     *openSink
	problem  *problem
	failures int // to open it, in a row, that may pass
}

// former returns the sink that is open, unless it is another one of that name.
func (s sinkState) former(o sinkObject) *openSink {
	if s.open == nil || !strings.HasPrefix(s.open.revision, string(o.meta.UID)+"/") {
		return nil
	}
	return s.open
}

// sinks holds the sinks of a term. It is safe for concurrent use.
type sinks struct {
	mu    sync.Mutex // guards what follows
	byKey map[key]sinkState
}

func (s *sinks) get(k key) sinkState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[k]
}

// acquire returns the open sink, for who is to release it; nil if it is not open.
func (s *sinks) acquire(k key) *openSink {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.byKey[k].open
	if open != nil {
		open.mu.Lock()
		open.users++
		open.mu.Unlock()
	}
	return open
}

// set replaces what is known of a sink, and retires what was open.
func (s *sinks) set(k key, next sinkState) {
	s.mu.Lock()
	before := s.byKey[k].open
	if next == (sinkState{}) {
		delete(s.byKey, k)
	} else {
		s.byKey[k] = next
	}
	s.mu.Unlock()
	if before != nil && before != next.open {
		before.retire()
	}
}

func (s *sinks) clear() {
	s.mu.Lock()
	keys := make([]key, 0, len(s.byKey))
	for k := range s.byKey {
		keys = append(keys, k)
	}
	s.mu.Unlock()
	for _, k := range keys {
		s.set(k, sinkState{})
	}
}

// problem says why a sink is not open as it is; nil if it is, or is about to be.
func (s *sinks) problem(k key, kind *sinkKind) *problem {
	if _, exists := kind.lookup(k); !exists {
		return problemf(reasonSinkNotFound, "spec.sinkRefs: there is no %s: create it, or correct the reference", sinkName(kind, k))
	}
	if p := s.get(k).problem; p != nil {
		return problemf(reasonSinkNotReady, "%s is not ready: %s", sinkName(kind, k), p.message)
	}
	return nil
}

// reconcileSink opens a sink, again if it or its Secret changed.
func (t *term) reconcileSink(ctx context.Context, k key) error {
	c := t.controller
	o, exists := c.sinkKind.lookup(k)
	if !exists {
		t.sinks.set(k, sinkState{})
		c.sinkStatus.forget(k)
		t.enqueuePairsOf(k)
		return nil
	}
	before := t.sinks.get(k)
	next, again := t.reopen(ctx, o, before)
	if ctx.Err() != nil {
		if next.open != nil && next.open != before.open {
			next.open.retire()
		}
		return nil
	}
	t.sinks.set(k, next)
	if next.open != before.open || !equal(next.problem, before.problem) {
		t.enqueuePairsOf(k)
	}
	c.sinkStatus.change(o, func(s *kollectv1alpha1.SinkDestinationStatus) {
		s.ObservedGeneration = o.meta.Generation
		setVerdict(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionReady, next.problem, reasonReady, "the sink is open")
	})
	if again > 0 {
		t.sinkQueue.AddAfter(k, wait.Jitter(again, 0.2))
	}
	return nil
}

// reopen returns what is known of a sink now, and when to look again.
func (t *term) reopen(ctx context.Context, o sinkObject, before sinkState) (sinkState, time.Duration) {
	opener := t.controller.config.Openers[o.spec.Type]
	if opener == nil {
		return sinkState{problem: problemf(reasonNotImplemented, "spec.type: sink type %s is not available in this version", o.spec.Type)}, 0
	}
	var again time.Duration
	if o.spec.SecretRef != nil {
		again = t.controller.config.SecretInterval
	}
	revision := fmt.Sprintf("%s/%d", o.meta.UID, o.meta.Generation)
	secret, unreadable := t.readSecret(ctx, o)
	if unreadable != nil {
		next := sinkState{problem: unreadable}
		if unreadable.reason == reasonSecretUnreadable {
			next.open = before.former(o)
		}
		if next.open != nil && strings.HasPrefix(next.open.revision, revision+"/") {
			return before, again // what was read stands while the API server is down
		}
		return next, again
	}
	config := SinkConfig{Namespace: o.meta.Namespace, Spec: o.spec.DeepCopy()}
	if secret != nil {
		if config.Secret = secret.Data; config.Secret == nil {
			config.Secret = map[string][]byte{} // not as if the sink named none
		}
		revision += fmt.Sprintf("/%s/%s", secret.UID, secret.ResourceVersion)
	}
	if before.open != nil && before.open.revision == revision {
		return sinkState{open: before.open}, again
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opened, err := opener(ctx, config)
	if err != nil {
		failures := 0
		if !sink.IsPermanent(err) {
			failures = before.failures + 1
			if delay := reopenDelay(failures); again == 0 || delay < again {
				again = delay
			}
		}
		message := export.Message(err)
		if !strings.HasPrefix(message, "spec.") {
			message = fmt.Sprintf("spec.%s: %s", o.spec.Type, message)
		}
		next := sinkState{problem: &problem{reason: reasonOpenFailed, message: message}, failures: failures}
		if !sink.IsPermanent(err) {
			next.open = before.former(o) // it may pass: what was opened stays in use
		}
		return next, again
	}
	return sinkState{open: &openSink{sink: opened, revision: revision, closing: t.closing}}, again
}

// reopenDelay returns how long to wait after so many failures in a row.
func reopenDelay(failures int) time.Duration {
	return min(minReopenInterval<<min(failures-1, 10), reopenInterval)
}

// SecretNamespace returns the namespace of the Secret that a sink names. That of a
// namespaced sink is its own; a cluster sink, which has none, has to say it.
func SecretNamespace(sink string, ref *kollectv1alpha1.SecretReference) (string, error) {
	switch {
	case sink == "" && ref.Namespace == "":
		return "", fmt.Errorf("spec.secretRef.namespace: is required: set it to the namespace of Secret %s", ref.Name)
	case sink == "":
		return ref.Namespace, nil
	case ref.Namespace != "" && ref.Namespace != sink:
		return "", errors.New("spec.secretRef.namespace: a KollectSink reads Secrets of its own namespace: remove the field")
	}
	return sink, nil
}

// readSecret reads the Secret that a sink names. A namespaced sink has those of
// its own namespace alone.
func (t *term) readSecret(ctx context.Context, o sinkObject) (*corev1.Secret, *problem) {
	ref := o.spec.SecretRef
	if ref == nil {
		return nil, nil
	}
	namespace, err := SecretNamespace(o.meta.Namespace, ref)
	if err != nil {
		return nil, problemf(reasonInvalidSpec, "%s", err)
	}
	secret, err := t.controller.clients.core.CoreV1().Secrets(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		return secret, nil
	case apierrors.IsNotFound(err):
		return nil, problemf(reasonSecretNotFound, "spec.secretRef: there is no Secret %s/%s: create it, or correct the reference", namespace, ref.Name)
	case apierrors.IsForbidden(err):
		return nil, problemf(reasonSecretForbidden, "spec.secretRef: the server may not read Secret %s/%s: in namespace %s, bind its service account by a RoleBinding to a Role with the rule {apiGroups: [\"\"], resources: [secrets], resourceNames: [%s], verbs: [get]}",
			namespace, ref.Name, namespace, ref.Name)
	}
	return nil, problemf(reasonSecretUnreadable, "spec.secretRef: Secret %s/%s can not be read: %s", namespace, ref.Name, export.Message(err))
}
