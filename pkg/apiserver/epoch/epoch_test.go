package epoch

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"kollect.io/kollect/pkg/inventory"
)

// Claims at the same time get numbers of their own. (The fake API server does
// not refuse a stale update, so this one does.)
func TestClaimsDiffer(t *testing.T) {
	client := newClient()
	var mu sync.Mutex
	var got []uint32
	var claims sync.WaitGroup
	for range 8 {
		claims.Go(func() {
			e, err := Claim(t.Context(), client.CoordinationV1().Leases("kollect-system"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, e.Own())
		})
	}
	claims.Wait()
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != 8 {
		t.Errorf("epochs are %d", got)
	}
}

// newClient returns a client of an API server that refuses stale updates.
func newClient(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	var mu sync.Mutex
	versions := 0
	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		update := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		stored, err := client.Tracker().Get(action.GetResource(), update.Namespace, update.Name)
		if err != nil {
			return true, nil, err
		}
		if lastOf(stored.(*coordinationv1.Lease)) >= lastOf(update) {
			return true, nil, errors.New("conflict")
		}
		versions++
		return true, update, client.Tracker().Update(action.GetResource(), update, update.Namespace)
	})
	return client
}

func TestEpochsRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(beginning.Add(100*time.Minute + time.Second)))
		client := newClient()
		leases := client.CoordinationV1().Leases("kollect-system")
		claim := func(want uint32) *Epoch {
			t.Helper()
			e, err := Claim(t.Context(), leases)
			if err != nil {
				t.Fatal(err)
			}
			if e.Own() != want {
				t.Errorf("epoch is %d, want %d", e.Own(), want)
			}
			return e
		}
		first := claim(100)
		claim(101)
		if first.Newest() != 101 {
			t.Errorf("the newest is %d, want 101", first.Newest())
		}
		claim(102)
		if first.Newest() != 101 {
			t.Error("the Lease was read twice within a second")
		}
		time.Sleep(time.Second)
		if first.Newest() != 102 {
			t.Errorf("the newest is %d, want 102", first.Newest())
		}
		time.Sleep(10 * time.Minute)
		if err := leases.Delete(t.Context(), LeaseName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		claim(110)
		if first.Newest() != 110 {
			t.Errorf("the newest is %d, want 110", first.Newest())
		}
	})
}

func TestClaimFails(t *testing.T) {
	full := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kollect-system", Name: LeaseName},
		Spec:       coordinationv1.LeaseSpec{LeaseTransitions: ptr.To[int32](inventory.MaxEpoch)},
	}
	forbidden := newClient()
	forbidden.PrependReactor("get", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	for name, test := range map[string]struct {
		client *fake.Clientset
		want   string
	}{
		"no more epochs": {newClient(full), "delete the Lease"},
		"no right":       {forbidden, "get, create and update Leases"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, err := Claim(t.Context(), test.client.CoordinationV1().Leases("kollect-system")); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %v, want %q in it", err, test.want)
				}
			})
		})
	}
}
