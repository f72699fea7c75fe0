package apiserver

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	"kollect.io/kollect/pkg/inventory"
)

// seatsOnly is priority and fairness that only asks what a request costs.
type seatsOnly struct {
	utilflowcontrol.Interface
	limit uint64
	seats uint64
}

func (s *seatsOnly) GetMaxSeats(string) uint64 { return s.limit }

func (s *seatsOnly) Handle(_ context.Context, _ utilflowcontrol.RequestDigest,
	note func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	estimate func() flowcontrolrequest.WorkEstimate, _ fq.QueueNoteFn, _ func(),
) {
	note(&flowcontrolv1.FlowSchema{}, &flowcontrolv1.PriorityLevelConfiguration{}, "")
	s.seats = estimate().InitialSeats
}

// addRows makes an inventory with so many rows.
func addRows(s *inventory.Store, ref inventory.Ref, rows int) {
	s.Update(func(tx *inventory.Tx) {
		target := inventory.TargetRef{Namespace: ref.Namespace, Name: "all"}
		tx.SetTarget(target, nil)
		tx.SetInventory(inventory.Inventory{Ref: ref, UID: "1", Cluster: "test", Targets: []inventory.TargetRef{target}})
		for i := range rows {
			tx.Put(inventory.NewRow(inventory.RowContent{
				Resource: &inventory.Resource{Version: "v1", Resource: "pods", Kind: "Pod"}, Target: &target,
				Namespace: "default", Name: fmt.Sprint(i), UID: fmt.Sprint(i),
			}), "")
		}
	})
}

func TestRequestsCostWhatTheyRead(t *testing.T) {
	store := inventory.NewStore(inventory.Options{Epoch: 1})
	addRows(store, inventory.Ref{Namespace: "small", Name: "apps"}, 10)
	addRows(store, inventory.Ref{Namespace: "big", Name: "apps"}, 3000)
	addRows(store, inventory.Ref{Name: "platform"}, 500)
	tracker := flowcontrolrequest.NewStorageObjectCountTracker()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := countObjects(store, tracker)(genericapiserver.PostStartHookContext{Context: ctx}); err != nil {
		t.Fatal(err)
	}
	inner := &seatsOnly{}
	control := honestCosts{inner, store}
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("apis"), GrouplessAPIPrefixes: sets.NewString()}
	for _, test := range []struct {
		path        string
		limit, want uint64
	}{
		{"inventoryrows", 100, 31},
		{"inventoryrows?resourceVersion=0", 100, 10}, // any state will do, as from a cache
		{"inventoryrows", 4, 4},                      // of the priority level
		{"inventoryrows?limit=500", 100, 6},
		{"inventoryrows?limit=50", 100, 1},
		{"inventoryrows?watch=1", 100, 10},
		{"inventoryrows?watch=1&resourceVersion=7", 100, 1},
		{"namespaces/small/inventoryrows", 100, 1},
		{"namespaces/small/inventoryrows?watch=1", 100, 1},
		{"namespaces/big/inventoryrows", 100, 31},
		{"namespaces/big/inventoryrows?limit=50", 100, 1},
		{"namespaces/big/inventoryrows/apps.x", 100, 1},
		{"clusterinventoryrows", 100, 6},
		{"inventories", 100, 1},
		{"accessiblerows", 100, 36},
		{"namespaces/small/accessiblerows", 100, 36}, // of any inventory
		{"namespaces/small/inventories/apps", 100, 1},
		{"namespaces/small/inventories/apps/snapshot", 100, 1},
		{"namespaces/big/inventories/apps", 100, 1},
		{"namespaces/big/inventories/apps/snapshot", 100, 10},
		{"namespaces/big/inventories/apps/snapshot", 3, 3},
		{"namespaces/big/inventories/apps/diff?from=1", 100, 10},
		{"namespaces/big/inventories/none/snapshot", 100, 1},
		{"clusterinventories/platform/snapshot", 100, 6},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/apis/inventory.kollect.io/v1alpha1/"+test.path, nil)
		info, err := resolver.NewRequestInfo(r)
		if err != nil {
			t.Fatal(err)
		}
		r = r.WithContext(request.WithRequestInfo(r.Context(), info))
		inner.limit = test.limit
		usual := flowcontrolrequest.NewWorkEstimator(tracker.Get, func(*request.RequestInfo) int { return 0 },
			flowcontrolrequest.DefaultWorkEstimatorConfig(), inner.GetMaxSeats)
		control.Handle(t.Context(), utilflowcontrol.RequestDigest{RequestInfo: info},
			func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string) {},
			func() flowcontrolrequest.WorkEstimate { return usual(r, "", "") }, nil, nil)
		if inner.seats != test.want {
			t.Errorf("%s: got %d seats of %d, want %d", test.path, inner.seats, test.limit, test.want)
		}
	}
	// A count that is no longer told grows stale, and then a list costs all there is.
	if stats, err := tracker.Get("inventoryrows.inventory.kollect.io"); err != nil || stats.ObjectCount != 3010 || countPeriod > time.Minute {
		t.Errorf("got %+v, %v", stats, err)
	}
}
