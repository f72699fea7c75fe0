package controlplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kollect.io/kollect/test/child"
)

func TestRestartsKeepAddressAndData(t *testing.T) {
	cp := ForTest(t, Options{})
	if got := cp.MustKubectl(t, "get", "namespaces", "--output=name"); !strings.Contains(got, "namespace/default") {
		t.Errorf("kubectl get namespaces: got %q, want namespace/default among them", got)
	}
	cp.MustKubectl(t, "create", "configmap", "kept")
	host := cp.Config().Host
	client := kubernetes.NewForConfigOrDie(cp.Config())

	if err := cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err == nil {
		t.Error("get while kube-apiserver is stopped: got no error")
	}
	if err := cp.StopEtcd(); err != nil {
		t.Fatal(err)
	}
	if err := cp.StartEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := cp.Config().Host; got != host {
		t.Errorf("host after a restart: got %s, want %s", got, host)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("get after a restart, by the client from before: %v", err)
	}
}

func TestUsersHaveTheRightsThatRBACGives(t *testing.T) {
	cp := ForTest(t, Options{})
	config, err := cp.UserConfig("alice", "team-a")
	if err != nil {
		t.Fatal(err)
	}
	alice := kubernetes.NewForConfigOrDie(config)
	if _, err := alice.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list without a right: got %v, want forbidden", err)
	}
	cp.MustKubectl(t, "create", "rolebinding", "team-a", "--clusterrole=view", "--group=team-a")
	deadline, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := poll(deadline, func(ctx context.Context) error {
		_, err := alice.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err
	}); err != nil {
		t.Errorf("list with the right: %v", err)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	cp, err := Start(t.Context(), Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	processes := cp.Processes()
	if len(processes) != 2 {
		t.Fatalf("processes: got %v, want etcd and kube-apiserver", processes)
	}
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if err := syscall.Kill(p.PID, 0); err != syscall.ESRCH {
			t.Errorf("signal %s (%d) after Stop: got %v, want no such process", p.Name, p.PID, err)
		}
	}
	if _, err := os.Stat(cp.Dir()); !os.IsNotExist(err) {
		t.Errorf("stat the temporary folder after Stop: got %v, want none", err)
	}
	if err := cp.Stop(); err != nil {
		t.Errorf("stop again: %v", err)
	}
}

func TestStartTakesAnotherPortWhenOneIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cp, err := StartEtcd(t.Context(), Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	var picked []int
	cp.pickPort = func() (int, error) {
		port, err := child.FreePort()
		if len(picked) == 0 {
			port = taken.Addr().(*net.TCPAddr).Port
		}
		picked = append(picked, port)
		return port, err
	}
	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(picked) != 2 || !strings.HasSuffix(cp.Config().Host, ":"+strconv.Itoa(picked[1])) {
		t.Errorf("host %s after the ports %v were picked, want the second", cp.Config().Host, picked)
	}
}

func TestFailedStartShowsTheLogAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	cp, err := Start(t.Context(), Options{Dir: dir, Log: t.Output(), APIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("start with a flag that does not exist: got no error", cp.Stop())
	}
	if !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("error: got %q, want what kube-apiserver said", err)
	}
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := opened.Processes(); len(got) != 0 {
		t.Errorf("processes after a failed start: got %v", got)
	}
}

func TestDetachedControlPlaneIsStoppedByWhoOpensIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 30)) // too long for a socket
	cp, err := Start(t.Context(), Options{Dir: dir, Detach: true, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	folder := startProgram(t, cp)
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(opened.Config()).Discovery().ServerVersion(); err != nil {
		t.Errorf("ask the opened control plane: %v", err)
	}
	if err := opened.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range cp.Processes() {
		if p.Running {
			t.Errorf("%s runs after who opened it stopped it", p.Name)
		}
	}
	if log := child.Tail(cp.LogPath("program"), 10); !strings.Contains(log, "asked") {
		t.Errorf("the program was not asked to end by its own signal: %s", log)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the program's folder is there after the stop (%v)", err)
	}
}

// startProgram starts a program that SIGINT ends, and returns a folder for it.
func startProgram(t *testing.T, cp *ControlPlane) string {
	t.Helper()
	folder, err := cp.TempDir("program")
	if err != nil {
		t.Fatal(err)
	}
	err = cp.StartProgram(t.Context(), Program{
		Name:    "program",
		Command: exec.Command("sh", "-c", "trap '' TERM; trap 'echo asked; exit' INT; echo ready; while :; do sleep 0.1; done"),
		Ready: func(context.Context) error {
			if log := child.Tail(cp.LogPath("program"), 1); log != "ready" {
				return fmt.Errorf("it says %q", log)
			}
			return nil
		},
		Quit: syscall.SIGINT,
	})
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestCRDsOfTheCheckoutAreEstablished(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	cp := ForTest(t, Options{})
	for range 2 { // again changes nothing
		if err := ApplyCRDs(t.Context(), cp.Config(), filepath.Join(root, "artifacts", "crds")); err != nil {
			t.Fatal(err)
		}
	}
	cp.MustKubectl(t, "get", "kollectprofiles,kollectclusterprofiles", "--all-namespaces")
}
