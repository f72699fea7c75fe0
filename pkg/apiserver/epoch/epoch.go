// Package epoch numbers the processes that serve one API, so that the resource
// versions of one are never taken for those of another. The last number is kept
// in a Lease. It never leads anybody and is never renewed.
//
// Its invariant: no two claims return the same number, and a later claim returns
// a higher one, even if the Lease was deleted or set back, unless there was more
// than one claim a minute since.
package epoch

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"kollect.io/kollect/pkg/inventory"
)

// LeaseName is the name of the Lease that counts epochs: its
// spec.leaseTransitions is the last.
const LeaseName = "kollect-apiserver-epochs"

const (
	// patience is how long a claim is tried.
	patience = 30 * time.Second
	// readPeriod is how often the Lease is read at most, and readTimeout how long.
	readPeriod  = time.Second
	readTimeout = time.Second
)

// beginning is when the clock's epochs began. There is one a minute.
var beginning = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Epoch is the number of this process among those that serve the API.
type Epoch struct {
	leases coordinationclient.LeaseInterface
	own    uint32

	mu     sync.Mutex // guards what follows; held while the Lease is read
	newest uint32
	read   time.Time
}

// Claim takes the next epoch. It tries again for half a minute; the error says
// what the process may lack.
func Claim(ctx context.Context, leases coordinationclient.LeaseInterface) (*Epoch, error) {
	e := &Epoch{leases: leases}
	var last error
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 1000, Cap: 5 * time.Second}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := wait.ExponentialBackoffWithContext(waiting, backoff, func(ctx context.Context) (bool, error) {
		if last = e.claim(ctx); last != nil {
			klog.FromContext(ctx).V(2).Info("Claiming an epoch again", "lease", LeaseName, "err", last)
		}
		return last == nil, nil
	})
	if err != nil {
		if last == nil {
			last = err
		}
		return nil, fmt.Errorf("number this process among its replicas (it must get, create and update Leases in its namespace): %w", last)
	}
	return e, nil
}

// claim takes the next epoch, unless another process takes it first.
func (e *Epoch) claim(ctx context.Context) error {
	lease, err := e.leases.Get(ctx, LeaseName, metav1.GetOptions{})
	missing := errors.IsNotFound(err)
	switch {
	case missing:
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseName}}
	case err != nil:
		return fmt.Errorf("read Lease %s: %w", LeaseName, err)
	}
	next := max(lastOf(lease)+1, uint32(max(0, time.Since(beginning)/time.Minute)))
	if next > inventory.MaxEpoch {
		return fmt.Errorf("spec.leaseTransitions of Lease %s is %d, above %d: delete the Lease", LeaseName, lastOf(lease), inventory.MaxEpoch-1)
	}
	lease.Spec.LeaseTransitions = ptr.To(int32(next))
	if missing {
		_, err = e.leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = e.leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("claim epoch %d in Lease %s: %w", next, LeaseName, err)
	}
	e.own, e.newest = next, next
	return nil
}

// lastOf returns the last epoch that was claimed.
func lastOf(lease *coordinationv1.Lease) uint32 {
	return uint32(max(0, ptr.Deref(lease.Spec.LeaseTransitions, 0)))
}

// Own is the epoch of this process.
func (e *Epoch) Own() uint32 { return e.own }

// Newest returns the highest epoch that was claimed. It asks the API server, at
// most once a second; if that does not answer, the highest that is known.
func (e *Epoch) Newest() uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.read) < readPeriod {
		return e.newest
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	if lease, err := e.leases.Get(ctx, LeaseName, metav1.GetOptions{}); err == nil {
		e.newest = max(e.newest, lastOf(lease))
	}
	e.read = time.Now()
	return e.newest
}
