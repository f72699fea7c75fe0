package integration

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/inventory"
)

// changeOfRights is how long a change of rights may take to show.
const changeOfRights = 10 * time.Second

var configMapResource = &inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}

// Alice sees those rows of all inventories whose sources RBAC lets her list.
func TestAccessibleRows(t *testing.T) {
	s := newServed(t)
	s.addConfigMaps(inventory.Ref{Name: "platform"}, "a", "b", "")
	s.addConfigMaps(inventory.Ref{Namespace: "b", Name: "own"}, "a", "b")
	for _, namespace := range []string{"a", "b"} {
		s.cp.MustKubectl(t, "create", "namespace", namespace)
		s.cp.MustKubectl(t, "create", "role", "reader", "-n", namespace, "--verb=get,list", "--resource=configmaps")
		s.cp.MustKubectl(t, "create", "role", "one", "-n", namespace, "--verb=get,list", "--resource=configmaps", "--resource-name=settings")
		s.cp.MustKubectl(t, "create", "rolebinding", "one", "-n", namespace, "--role=one", "--user=alice")
	}
	s.cp.MustKubectl(t, "apply", "-f", filepath.Join("..", "..", "artifacts", "rbac-users.yaml"))
	s.cp.MustKubectl(t, "create", "clusterrolebinding", "accessible", "--clusterrole=kollect-accessible-rows", "--group=system:authenticated")
	s.cp.MustKubectl(t, "create", "rolebinding", "readers", "-n", "a", "--role=reader", "--group=devs")
	s.wantAccessible("alice", []string{"a/platform", "a/own"}, "--as-group=devs")
	s.wantAccessible("alice", nil)
	s.wantAccessible("bob", nil, "--as-group=system:serviceaccounts")

	out := s.cp.MustKubectl(t, "get", "arow", "-A", "--as=alice", "--as-group=devs", "--as-group=system:authenticated")
	if !strings.Contains(out, "NAMESPACE") || !strings.Contains(out, "b/own") || strings.Contains(out, "\nb ") {
		t.Errorf("got\n%s", out)
	}
	if out, err := s.cp.Kubectl(t.Context(), "get", "inventoryrows", "-A", "--as=alice", "--as-group=devs"); err == nil {
		t.Errorf("alice lists rows:\n%s", out)
	}

	// A right that is granted, or gone, ends the watch and shows.
	config := rest.CopyConfig(s.cp.Config())
	config.Impersonate = rest.ImpersonationConfig{UserName: "alice", Groups: []string{"devs", "system:authenticated"}}
	s.endsWatch(config, "create", "rolebinding", "alice", "-n", "b", "--role=reader", "--user=alice")
	s.wantAccessible("alice", []string{"a/platform", "a/own", "b/platform", "b/own"}, "--as-group=devs")
	s.endsWatch(config, "delete", "rolebinding", "readers", "-n", "a")
	s.wantAccessible("alice", []string{"b/platform", "b/own"}, "--as-group=devs")
	s.endsWatch(config, "create", "clusterrolebinding", "alice", "--clusterrole=view", "--user=alice")
	s.wantAccessible("alice", []string{"a/platform", "a/own", "b/platform", "b/own"})
}

// addConfigMaps adds an inventory with a row in each namespace.
func (s *served) addConfigMaps(ref inventory.Ref, namespaces ...string) {
	target := inventory.TargetRef(ref)
	s.store.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: ref, Cluster: "test", Targets: []inventory.TargetRef{target}})
		for _, namespace := range namespaces {
			tx.Put(inventory.NewRow(inventory.RowContent{
				Resource: configMapResource, Target: &target, Namespace: namespace, Name: "settings", UID: "uid-" + namespace,
			}), "")
		}
		tx.SetTargetState(target, inventory.TargetState{Synced: true})
	})
}

// wantAccessible waits until a user sees one row of each namespace/inventory.
func (s *served) wantAccessible(user string, want []string, flags ...string) {
	s.Helper()
	args := append([]string{"get", "accessiblerows", "-A", "--as=" + user, "--as-group=system:authenticated", "-o",
		`jsonpath={range .items[*]}{.metadata.namespace}/{.inventory} {end}`}, flags...)
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(changeOfRights); ; {
		out, err := s.cp.Kubectl(s.Context(), args...)
		got = strings.Fields(string(out))
		slices.Sort(got)
		if err == nil && slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%s sees %v, want %v (%v)", user, got, want, err)
		}
	}
}

// endsWatch fails unless a watch ends with 410 soon after kubectl has run, and its
// version can't be watched from again.
func (s *served) endsWatch(config *rest.Config, kubectl ...string) {
	s.Helper()
	rows := versioned.NewForConfigOrDie(config).InventoryV1alpha1().AccessibleRows("")
	list, err := rows.List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), changeOfRights+20*time.Second)
	defer cancel()
	from := metav1.ListOptions{ResourceVersion: list.ResourceVersion}
	w, err := rows.Watch(ctx, from)
	if err != nil {
		s.Fatal(err)
	}
	defer w.Stop()
	s.cp.MustKubectl(s, kubectl...)
	changed := time.Now()
	event, ok := <-w.ResultChan()
	if took := time.Since(changed); took > changeOfRights {
		s.Errorf("kubectl %v: the watch ended after %v", kubectl, took)
	}
	if err := apierrors.FromObject(event.Object); !ok || event.Type != watch.Error || !apierrors.IsResourceExpired(err) {
		s.Errorf("kubectl %v: got %v %v", kubectl, event.Type, err)
	}
	again, err := rows.Watch(ctx, from)
	if err != nil {
		s.Fatal(err)
	}
	defer again.Stop()
	if event := <-again.ResultChan(); event.Type != watch.Error {
		s.Errorf("kubectl %v: watched from before, got %v", kubectl, event)
	}
}
