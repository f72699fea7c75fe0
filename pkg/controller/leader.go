package controller

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// LeaderElection says how replicas agree on one that exports.
type LeaderElection struct {
	// Disabled makes this process lead always. It must be the only one.
	Disabled bool
	// Namespace and Name of the Lease. Name defaults to kollect-apiserver.
	Namespace, Name string
	// Identity of this process, unique among replicas.
	Identity string
	// The times of the election; they default to 15, 10 and 2 seconds.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

func (l LeaderElection) withDefaults() LeaderElection {
	if l.Name == "" {
		l.Name = "kollect-apiserver"
	}
	if l.LeaseDuration == 0 {
		l.LeaseDuration, l.RenewDeadline, l.RetryPeriod = 15*time.Second, 10*time.Second, 2*time.Second
	}
	return l
}

// campaign leads whenever this process is elected, until ctx ends. A lease that
// is lost ends a term, and no more: it campaigns again.
func (l LeaderElection) campaign(ctx context.Context, client kubernetes.Interface, lead func(context.Context, func(context.Context) (bool, error))) error {
	if l.Disabled {
		lead(ctx, func(context.Context) (bool, error) { return true, nil })
		return nil
	}
	for ctx.Err() == nil {
		if err := l.term(ctx, client, lead); err != nil {
			return err
		}
	}
	return nil
}

// term waits to be elected and leads until the lease is lost or ctx ends. The
// lease is given up only when lead has returned, so that the next leader begins
// when this one is done; and the context of lead ends when the lease runs out at
// the latest, whatever the API server's answers do.
func (l LeaderElection) term(ctx context.Context, client kubernetes.Interface, lead func(context.Context, func(context.Context) (bool, error))) error {
	campaigning, resign := context.WithCancel(context.WithoutCancel(ctx))
	defer resign()
	term, cancel := context.WithCancel(ctx)
	defer cancel()
	lock := l.lock(client)
	expiry := time.AfterFunc(l.LeaseDuration, cancel)
	expiry.Stop() // until there is a lease
	defer expiry.Stop()
	elected := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          &expiringLock{Interface: lock, duration: l.LeaseDuration, expiry: expiry},
		LeaseDuration: l.LeaseDuration, RenewDeadline: l.RenewDeadline, RetryPeriod: l.RetryPeriod,
		Name: l.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { elected <- ctx },
			OnStoppedLeading: func() { klog.FromContext(ctx).V(1).Info("The lease is lost or given up") },
		},
	})
	if err != nil {
		return fmt.Errorf("elect a leader: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(campaigning)
	}()
	defer func() {
		resign()
		<-ended
		if elector.IsLeader() {
			l.release(ctx, lock)
		}
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	case leading := <-elected:
		stop := context.AfterFunc(leading, cancel)
		defer stop()
		lead(term, func(ctx context.Context) (bool, error) { return l.holds(ctx, client) })
	}
	return nil
}

func (l LeaderElection) lock(client kubernetes.Interface) resourcelock.Interface {
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: l.Identity},
	}
}

// expiringLock is a lock that has a timer fire when the lease runs out that it
// wrote last.
type expiringLock struct {
	resourcelock.Interface
	duration time.Duration
	expiry   *time.Timer
}

// Create implements resourcelock.Interface.
func (e *expiringLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return e.write(func() error { return e.Interface.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (e *expiringLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return e.write(func() error { return e.Interface.Update(ctx, record) })
}

func (e *expiringLock) write(write func() error) error {
	began := time.Now()
	err := write()
	if err == nil {
		e.expiry.Reset(time.Until(began.Add(e.duration)))
	}
	return err
}

// release gives up the lease, if this process still holds it. Without an answer
// it runs out by itself.
func (l LeaderElection) release(ctx context.Context, lock resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.RenewDeadline)
	defer cancel()
	for {
		record, _, err := lock.Get(ctx)
		if err == nil && record.HolderIdentity == l.Identity {
			now := metav1.Now()
			err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
				LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
			})
		}
		if err != nil && !apierrors.IsConflict(err) {
			klog.FromContext(ctx).V(1).Info("The lease can not be given up, and runs out", "err", err)
		}
		if !apierrors.IsConflict(err) {
			return
		}
	}
}

// holds asks the API server whether this process holds the lease.
func (l LeaderElection) holds(ctx context.Context, client kubernetes.Interface) (bool, error) {
	lease, err := client.CoordinationV1().Leases(l.Namespace).Get(ctx, l.Name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read Lease %s/%s: %w", l.Namespace, l.Name, err)
	}
	holder := lease.Spec.HolderIdentity
	return holder != nil && *holder == l.Identity, nil
}
