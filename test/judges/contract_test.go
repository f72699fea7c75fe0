package judges

import (
	"context"
	"testing"

	storagetesting "k8s.io/apiserver/pkg/storage/testing"

	"kollect.io/kollect/pkg/inventory"
)

// TestStorage has rows judged by the tests that kube-apiserver's own storages
// must pass.
//
// Those of k8s.io/apiserver/pkg/storage/testing that are left out can't fail for
// anything that is served here:
//
//	Create, CreateWithTTL, CreateWithKeyExist         writes, which the API does
//	UnconditionalDelete, ConditionalDelete,           not have; here they are
//	DeleteWith..., ValidateDeletionWith...,           the adapter's
//	PreconditionalDeleteWith..., GuaranteedUpdate...
//	KeySchema                                         the keys of etcd
//	Stats                                             the size of what is in etcd
//	TransformationFailure, WatchError,                data that can't be decrypted or
//	WatchWithUnsafeDelete,                            decoded: rows are in memory
//	GetListWith(out)ErrorAggregation,                 as they were made
//	WatchErrorIsBlockingFurtherEvents
//	OptionalTestProgressNotify                        an option that only the watch
//	                                                  cache gives to etcd
func TestStorage(t *testing.T) {
	for name, run := range map[string]func(context.Context, *testing.T, *podStorage){
		"Get": func(ctx context.Context, t *testing.T, s *podStorage) { storagetesting.RunTestGet(ctx, t, s) },
		"List": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestList(ctx, t, s, s.compact, false, nil)
		},
		"ConsistentList": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestConsistentList(ctx, t, s, s.increase, false, true, false)
		},
		"GetListNonRecursive": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestGetListNonRecursive(ctx, t, s.increase, s)
		},
		"GetListRecursivePrefix": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestGetListRecursivePrefix(ctx, t, s)
		},
		"ListContinuation": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestListContinuation(ctx, t, s, nil)
		},
		"ListContinuationWithFilter": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestListContinuationWithFilter(ctx, t, s, nil)
		},
		"ListInconsistentContinuation": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestListInconsistentContinuation(ctx, t, s, s.compact)
		},
		"ListPaging": func(ctx context.Context, t *testing.T, s *podStorage) { storagetesting.RunTestListPaging(ctx, t, s) },
		"NamespaceScopedList": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestNamespaceScopedList(ctx, t, s)
		},
		"CompactRevision": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestCompactRevision(ctx, t, s, s.increase, s.compact)
		},
		"Watch": func(ctx context.Context, t *testing.T, s *podStorage) { storagetesting.RunTestWatch(ctx, t, s) },
		"WatchFromZero": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchFromZero(ctx, t, s, s.compact)
		},
		"WatchFromNonZero": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchFromNonZero(ctx, t, s)
		},
		"DeleteTriggerWatch": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestDeleteTriggerWatch(ctx, t, s)
		},
		"DelayedWatchDelivery": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestDelayedWatchDelivery(ctx, t, s)
		},
		"WatchContextCancel": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchContextCancel(ctx, t, s)
		},
		"WatcherTimeout": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatcherTimeout(ctx, t, s)
		},
		"WatchDeleteEventObjectHaveLatestRV": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV(ctx, t, s)
		},
		"WatchInitializationSignal": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchInitializationSignal(ctx, t, s)
		},
		"NamespaceScopedWatch": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestNamespaceScopedWatch(ctx, t, s)
		},
		"WatchDispatchBookmarkEvents": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, s, true)
		},
		"OptionalWatchBookmarksWithCorrectResourceVersion": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion(ctx, t, s)
		},
		"SendInitialEventsBackwardCompatibility": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunSendInitialEventsBackwardCompatibility(ctx, t, s)
		},
		"WatchSemantics": func(ctx context.Context, t *testing.T, s *podStorage) { storagetesting.RunWatchSemantics(ctx, t, s) },
		"WatchSemanticInitialEventsExtended": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunWatchSemanticInitialEventsExtended(ctx, t, s)
		},
		"WatchListMatchSingle": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunWatchListMatchSingle(ctx, t, s)
		},
	} {
		t.Run(name, func(t *testing.T) { run(context.Background(), t, newPodStorage(t, inventory.Namespaced)) })
	}
}

// TestClusterStorage is TestStorage for those tests whose pods have no namespace.
func TestClusterStorage(t *testing.T) {
	for name, run := range map[string]func(context.Context, *testing.T, *podStorage){
		"ClusterScopedWatch": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestClusterScopedWatch(ctx, t, s)
		},
		"ListPaginationRareObject": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestListPaginationRareObject(ctx, t, s, nil)
		},
		"ListResourceVersionMatch": func(ctx context.Context, t *testing.T, s *podStorage) {
			storagetesting.RunTestListResourceVersionMatch(ctx, t, s)
		},
	} {
		t.Run(name, func(t *testing.T) { run(context.Background(), t, newPodStorage(t, inventory.Cluster)) })
	}
}
