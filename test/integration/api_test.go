package integration

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"

	"kollect.io/kollect/pkg/apiserver"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/test/controlplane"
)

// served is a control plane whose aggregator leads to a server of the store.
type served struct {
	*testing.T
	cp    *controlplane.ControlPlane
	store *inventory.Store
	// host is the server's own address.
	host string
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{T: t, cp: controlplane.ForTest(t, controlplane.Options{}), store: inventory.NewStore(inventory.Options{})}
	cert, key, err := certutil.GenerateSelfSignedCertKey(controlplane.ServingName, []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	s.host = "https://" + listener.Addr().String()

	o := apiserver.NewOptions()
	o.Recommended.CoreAPI.CoreAPIKubeconfigPath = s.cp.KubeconfigPath()
	serving := o.Recommended.SecureServing
	serving.Listener, serving.BindPort, serving.BindAddress = listener, port, net.IPv4(127, 0, 0, 1)
	serving.ServerCert.CertKey.CertFile, serving.ServerCert.CertKey.KeyFile = s.write("tls.crt", cert), s.write("tls.key", key)
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	config, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	server, err := config.Complete().New(s.store)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := controlplane.RegisterAPIService(t.Context(), s.cp.Config(), controlplane.KollectGroup, controlplane.KollectVersion, port, cert); err != nil {
		t.Fatal(err)
	}
	if err := controlplane.AwaitOpenAPI(t.Context(), s.cp.Config(), controlplane.KollectGroup, controlplane.KollectVersion); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) write(name string, data []byte) string {
	s.Helper()
	path := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

var deployments = &inventory.Resource{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}

func (s *served) row(ref inventory.Ref, i int, image string) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: deployments, Target: &inventory.TargetRef{Namespace: ref.Namespace, Name: "web"}, Namespace: "shop",
		Name: fmt.Sprintf("app-%d", i), UID: fmt.Sprintf("%08d", i), Created: time.Now().Add(-time.Hour),
		Labels: map[string]string{"even": fmt.Sprint(i%2 == 0)}, Attributes: fmt.Appendf(nil, `{"image":%q}`, image),
	})
}

func (s *served) add(ref inventory.Ref, rows int) {
	s.store.Update(func(tx *inventory.Tx) {
		target := inventory.TargetRef{Namespace: ref.Namespace, Name: "web"}
		tx.SetTarget(target, []inventory.Column{{Name: "image", Type: inventory.ColumnString}})
		tx.SetInventory(inventory.Inventory{Ref: ref, UID: "1", Created: time.Now(), Cluster: "demo", Targets: []inventory.TargetRef{target}})
		for i := range rows {
			tx.Put(s.row(ref, i, "nginx:1.27"), "")
		}
		tx.SetTargetState(target, inventory.TargetState{Synced: true})
	})
}

func TestServedAPI(t *testing.T) {
	t.Parallel()
	s := newServed(t)
	s.add(inventory.Ref{Namespace: "team-a", Name: "apps"}, 25)
	s.add(inventory.Ref{Namespace: "team-b", Name: "apps"}, 1)
	s.add(inventory.Ref{Name: "platform"}, 3)
	t.Run("kubectl", s.kubectl)
	t.Run("watch", s.watch)
	t.Run("rights", s.rights)
}

func (s *served) kubectl(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string // in this order
		rows int
	}{
		{"get inv -A", []string{"NAMESPACE", "NAME", "ROWS", "KINDS", "GENERATION", "HASH", "SYNCED", "STALE", "EXPORTED", "AGE", "team-a", "apps", "25", "Deployment=25", "True", "False", "team-b"}, 2},
		{"get cinv", []string{"NAME", "platform", "Deployment=3"}, 1},
		{"get invrow -n team-a", []string{"NAME", "KIND", "SOURCE NAMESPACE", "SOURCE", "TARGET", "IMAGE", "AGE", "apps.", "Deployment", "shop", "app-", "team-a/web", "nginx:1.27", "60m"}, 25},
		{"get invrow -A -l even=true", []string{"NAMESPACE", "NAME", "KIND"}, 14},
		{"get invrow -A --field-selector source.name=app-0", []string{"app-0", "app-0"}, 2},
		{"get invrow -A --chunk-size=4", []string{"team-a", "team-b"}, 26},
		{"get cinvrow --chunk-size=2 -o wide", []string{"UID", "CLUSTER", "demo"}, 3},
		{"get clusterinventoryrows -o name", []string{"clusterinventoryrow.inventory.kollect.io/platform."}, 2}, // no header
		{"get inventory apps -n team-a -o yaml", []string{"apiVersion: inventory.kollect.io/v1alpha1", "kind: Inventory", "contentHash: sha256:"}, -1},
		{"get kollect -A", []string{"clusterinventory.inventory.kollect.io/platform", "inventory.inventory.kollect.io/apps"}, -1},
		{"describe inv apps -n team-a", []string{"Name:", "apps", "Status:", "Content Hash:"}, -1},
		{"explain inventoryrows.source", []string{"GROUP:", "inventory.kollect.io", "KIND:", "InventoryRow", "FIELD: source <Source>", "creationTimestamp", "uid"}, -1},
		{"explain inventories.status.targets", []string{"FIELD: targets", "synced", "<boolean>"}, -1},
		{"api-resources --api-group=inventory.kollect.io --no-headers", []string{"accessiblerows", "arow", "clusterinventories", "cinv", "clusterinventoryrows", "cinvrow", "inventories", "inv", "inventoryrows", "invrow"}, 4},
		{"get --raw /apis/inventory.kollect.io/v1alpha1/inventoryrows?limit=1", []string{`"kind":"InventoryRowList"`, `"remainingItemCount":25`}, -1},
	} {
		out := s.cp.MustKubectl(t, strings.Fields(test.args)...)
		rest := out
		for _, want := range test.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("kubectl %s: no %q where it should be:\n%s", test.args, want, out)
				break
			}
			rest = after
		}
		if got := strings.Count(out, "\n") - 1; test.rows >= 0 && got != test.rows {
			t.Errorf("kubectl %s: got %d rows, want %d:\n%s", test.args, got, test.rows, out)
		}
	}
	for _, args := range []string{"get invrow -A --field-selector source.nam=x", "delete inv apps -n team-a"} {
		if out, err := s.cp.Kubectl(t.Context(), strings.Fields(args)...); err == nil {
			t.Errorf("kubectl %s: got no error: %s", args, out)
		}
	}
}

func (s *served) watch(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := s.cp.KubectlCommand(ctx, "get", "invrow", "-n", "team-b", "-w", "--output-watch-events")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ref := inventory.Ref{Namespace: "team-b", Name: "apps"}
	changes := []func(*inventory.Tx){
		func(tx *inventory.Tx) { tx.Put(s.row(ref, 0, "nginx:2"), "") },
		func(tx *inventory.Tx) { tx.Put(s.row(ref, 1, "nginx:3"), "") },
		func(tx *inventory.Tx) { tx.Remove(s.row(ref, 0, "")) },
		func(*inventory.Tx) {},
	}
	var got []string
	for lines := bufio.NewScanner(out); len(changes) > 0 && lines.Scan(); {
		words := strings.Fields(lines.Text())
		if words[0] == "EVENT" {
			continue
		}
		got = append(got, words[0]+" "+words[4]+" "+words[6])
		s.store.Update(changes[0])
		changes = changes[1:]
	}
	cancel()
	_ = cmd.Wait() // it was killed
	want := []string{"ADDED app-0 nginx:1.27", "MODIFIED app-0 nginx:2", "ADDED app-1 nginx:3", "DELETED app-0 nginx:2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// rights asks the aggregator, and the server itself, as several users.
func (s *served) rights(t *testing.T) {
	s.cp.MustKubectl(t, "create", "namespace", "team-a")
	s.cp.MustKubectl(t, "create", "clusterrole", "rows", "--verb=get,list,watch", "--resource=inventoryrows.inventory.kollect.io")
	s.cp.MustKubectl(t, "create", "rolebinding", "rows", "-n", "team-a", "--clusterrole=rows", "--user=alice")
	config, err := s.cp.UserConfig("alice")
	if err != nil {
		t.Fatal(err)
	}
	direct := rest.CopyConfig(config)
	direct.Host, direct.CAData, direct.Insecure = s.host, nil, true
	anonymous := rest.AnonymousClientConfig(direct)
	for name, config := range map[string]*rest.Config{"aggregated": config, "direct": direct} {
		alice := versioned.NewForConfigOrDie(config).InventoryV1alpha1()
		// Whoever binds a right waits until authorizers have seen it.
		if err := poll(t, func() error {
			_, err := alice.InventoryRows("team-a").List(t.Context(), metav1.ListOptions{})
			return err
		}); err != nil {
			t.Errorf("%s: list in the own namespace: %v", name, err)
		}
		for what, list := range map[string]func() error{
			"another namespace": func() error {
				_, err := alice.InventoryRows("team-b").List(t.Context(), metav1.ListOptions{})
				return err
			},
			"all namespaces": func() error {
				_, err := alice.InventoryRows("").List(t.Context(), metav1.ListOptions{})
				return err
			},
			"heads": func() error {
				_, err := alice.Inventories("team-a").List(t.Context(), metav1.ListOptions{})
				return err
			},
			"cluster rows": func() error {
				_, err := alice.ClusterInventoryRows().List(t.Context(), metav1.ListOptions{})
				return err
			},
			"a watch": func() error {
				_, err := alice.InventoryRows("team-b").Watch(t.Context(), metav1.ListOptions{})
				return err
			},
		} {
			if err := list(); !apierrors.IsForbidden(err) {
				t.Errorf("%s: list %s: got %v, want forbidden", name, what, err)
			}
		}
	}
	client := versioned.NewForConfigOrDie(anonymous)
	if _, err := client.InventoryV1alpha1().InventoryRows("team-a").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("anonymous: got %v, want forbidden", err)
	}
	for _, path := range []string{"/readyz", "/livez", "/healthz"} {
		if err := client.Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// poll calls f until it has no error, for half a minute.
func poll(t *testing.T, f func() error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
