package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
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
