package apiserver

import (
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

const (
	// rowsPerSeat is for how many rows a request takes another seat, as for lists in
	// the API server's own estimate: one for each 100 kB.
	rowsPerSeat = 100_000 / averageObjectSize
	// maxStreamSeats is what a request that streams its answer takes at most, as in
	// that estimate.
	maxStreamSeats = 10
)

// accessible are the rows of all namespaces whose sources are in one.
const accessible = "accessiblerows"

// honestCosts is priority and fairness that knows what a request of ours reads.
// Without it a snapshot or a diff of a million rows costs as much as one object,
// and a list of a small namespace as much as one of the whole cluster.
type honestCosts struct {
	utilflowcontrol.Interface
	store *inventory.Store
}

// Handle handles a request with the cost that it has.
func (h honestCosts) Handle(ctx context.Context, digest utilflowcontrol.RequestDigest,
	note func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	estimate func() flowcontrolrequest.WorkEstimate, queued fq.QueueNoteFn, execute func(),
) {
	level := ""
	h.Interface.Handle(ctx, digest,
		func(schema *flowcontrolv1.FlowSchema, l *flowcontrolv1.PriorityLevelConfiguration, distinguisher string) {
			level = l.Name
			note(schema, l, distinguisher)
		},
		func() flowcontrolrequest.WorkEstimate {
			work := estimate()
			if seats, ok := h.seats(digest.RequestInfo, work.InitialSeats); ok {
				work.InitialSeats = seats
				if limit := h.GetMaxSeats(level); limit > 0 {
					work.InitialSeats = min(seats, limit)
				}
			}
			return work
		}, queued, execute)
}

// seats returns how many seats a request takes, of which the API server
// estimated usual, and whether it is one that reads many rows.
func (h honestCosts) seats(r *request.RequestInfo, usual uint64) (seats uint64, ok bool) {
	if r == nil || !r.IsResourceRequest || r.APIGroup != inventoryv1alpha1.GroupName {
		return 0, false
	}
	state := h.store.State()
	switch {
	case r.Verb == "get" && r.Subresource != "":
		if s := state.Snapshot(inventory.Ref{Namespace: r.Namespace, Name: r.Name}); s != nil {
			return min(maxStreamSeats, rowSeats(s.Len())), true
		}
	case (r.Verb == "list" || r.Verb == "watch") && r.Subresource == "" && r.Namespace != "" && r.Resource != accessible:
		return min(usual, rowSeats(int(listedRows(state, r)))), true
	}
	return 0, false
}

func rowSeats(rows int) uint64 {
	return 1 + uint64(rows)/rowsPerSeat
}

// listedRows returns how many rows a list looks at. Inventories have none, and
// are few.
func listedRows(state *inventory.State, r *request.RequestInfo) (rows int64) {
	scopes, namespace := []inventory.Scope{inventory.Namespaced}, r.Namespace
	switch r.Resource {
	case "inventoryrows":
	case "clusterinventoryrows":
		scopes = []inventory.Scope{inventory.Cluster}
	case accessible:
		scopes, namespace = append(scopes, inventory.Cluster), ""
	default:
		return 0
	}
	for _, scope := range scopes {
		for s := range state.Snapshots(scope, namespace) {
			rows += int64(s.Len())
		}
	}
	return rows
}
