package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clienttesting "k8s.io/client-go/testing"
)

// candidate campaigns until it is stopped.
type candidate struct {
	election LeaderElection
	terms    atomic.Int32
	leads    atomic.Bool
	holds    func(context.Context) (bool, error)
	stop     func()
}

// run campaigns; leaving is how long the end of a term takes.
func (c *candidate) run(t *testing.T, client kubernetes.Interface, name string, leaders *atomic.Int32, leaving time.Duration) {
	c.election = LeaderElection{Namespace: "kollect-system", Identity: name}.withDefaults()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := c.election.campaign(ctx, client, func(ctx context.Context, holds func(context.Context) (bool, error)) {
			c.holds = holds
			c.terms.Add(1)
			c.leads.Store(true)
			if leaders.Add(1) > 1 {
				t.Error("two lead at a time")
			}
			<-ctx.Done()
			time.Sleep(leaving)
			leaders.Add(-1)
			c.leads.Store(false)
		})
		if err != nil {
			t.Error(err)
		}
	}()
	c.stop = func() {
		cancel()
		<-done
	}
	synctest.Wait()
}

func TestTheNextLeaderBeginsWhenTheLastHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := kubernetesfake.NewClientset()
		var leaders atomic.Int32
		var one, two candidate
		one.run(t, client, "one", &leaders, 3*time.Second)
		pass(time.Second)
		if !one.leads.Load() {
			t.Fatal("the only candidate does not lead")
		}
		two.run(t, client, "two", &leaders, 0)
		pass(time.Minute)
		if two.leads.Load() {
			t.Error("the second leads while the first does")
		}
		one.stop()
		if two.leads.Load() {
			t.Error("the second leads before the first has ended")
		}
		pass(10 * time.Second) // without waiting for the lease to expire
		if !two.leads.Load() {
			t.Error("the second does not lead after the first gave up the lease")
		}
		if holds, err := one.holds(t.Context()); err != nil || holds {
			t.Errorf("the first holds the lease: %v, %v", holds, err)
		}
		if holds, err := two.holds(t.Context()); err != nil || !holds {
			t.Errorf("the second holds the lease: %v, %v", holds, err)
		}
		two.stop()
	})
}

func TestALostLeaseEndsATermAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := kubernetesfake.NewClientset()
		var down atomic.Bool
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return down.Load(), nil, errors.New("connection refused")
		})
		var leaders atomic.Int32
		var one candidate
		one.run(t, client, "one", &leaders, 0)
		pass(time.Second)
		down.Store(true)
		pass(20 * time.Second)
		if one.leads.Load() {
			t.Error("leads though the lease could not be renewed")
		}
		down.Store(false)
		pass(time.Minute)
		if !one.leads.Load() || one.terms.Load() != 2 {
			t.Errorf("leads: %v after %d terms; want a second one", one.leads.Load(), one.terms.Load())
		}
		one.stop()
		lease, err := client.CoordinationV1().Leases("kollect-system").Get(t.Context(), "kollect-apiserver", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
			t.Errorf("%s holds the lease after it has ended", *holder)
		}
	})
}

// hangingClient is a client whose calls for leases hang when they are told to:
// until their context ends, or with deaf for a minute after that.
type hangingClient struct {
	kubernetes.Interface
	hang, deaf atomic.Bool
}

func (c *hangingClient) CoordinationV1() coordinationv1client.CoordinationV1Interface {
	return hangingCoordination{c.Interface.CoordinationV1(), c}
}

type hangingCoordination struct {
	coordinationv1client.CoordinationV1Interface
	client *hangingClient
}

func (c hangingCoordination) Leases(namespace string) coordinationv1client.LeaseInterface {
	return hangingLeases{c.CoordinationV1Interface.Leases(namespace), c.client}
}

type hangingLeases struct {
	coordinationv1client.LeaseInterface
	client *hangingClient
}

func (l hangingLeases) hang(ctx context.Context) error {
	if !l.client.hang.Load() {
		return nil
	}
	<-ctx.Done()
	if l.client.deaf.Load() {
		time.Sleep(time.Minute) // of the bubble's clock
	}
	return ctx.Err()
}

func (l hangingLeases) Get(ctx context.Context, name string, options metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := l.hang(ctx); err != nil {
		return nil, err
	}
	return l.LeaseInterface.Get(ctx, name, options)
}

func (l hangingLeases) Update(ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := l.hang(ctx); err != nil {
		return nil, err
	}
	return l.LeaseInterface.Update(ctx, lease, options)
}

func TestNobodyLeadsLongerThanTheLease(t *testing.T) {
	for name, tc := range map[string]struct {
		deaf    bool
		leaving time.Duration
	}{
		"calls that hang until their context ends": {false, 2 * time.Second},
		"calls that hang for longer":               {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &hangingClient{Interface: kubernetesfake.NewClientset()}
				client.deaf.Store(tc.deaf)
				var leaders atomic.Int32
				var one, two candidate
				one.run(t, client, "one", &leaders, tc.leaving)
				two.run(t, client.Interface, "two", &leaders, 0)
				pass(30 * time.Second)
				if !one.leads.Load() {
					t.Fatal("the first candidate does not lead")
				}
				client.hang.Store(true)
				pass(time.Minute)
				if one.leads.Load() || !two.leads.Load() {
					t.Errorf("the first leads: %v, the second: %v; want the second alone", one.leads.Load(), two.leads.Load())
				}
				one.stop()
				if !two.leads.Load() {
					t.Error("the first gave up the lease of the second")
				}
				two.stop()
			})
		})
	}
}

func TestWithoutElectionOneLeadsAlways(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	led := false
	err := LeaderElection{Disabled: true}.campaign(ctx, nil, func(_ context.Context, holds func(context.Context) (bool, error)) {
		led = true
		if ok, err := holds(ctx); !ok || err != nil {
			t.Errorf("holds: %v, %v", ok, err)
		}
		cancel()
	})
	if err != nil || !led {
		t.Errorf("led: %v, %v", led, err)
	}
}
