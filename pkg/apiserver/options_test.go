package apiserver

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestOptions(t *testing.T) {
	for _, test := range []struct{ flag, want string }{
		{"", ""},
		{"--cluster-name=prod.eu-1", ""},
		{"--cluster-name=", "--cluster-name"},
		{"--cluster-name=Prod", `--cluster-name "Prod"`},
		{"--cluster-name=a/b", `--cluster-name "a/b"`},
		{"--leader-elect-namespace=kollect-system", ""},
		{"--leader-elect-namespace=a.b", `--leader-elect-namespace "a.b"`},
		{"--leader-elect-lease-duration=1s --leader-elect-renew-deadline=800ms --leader-elect-retry-period=200ms", ""},
		{"--leader-elect-lease-duration=1500ms", "--leader-elect-lease-duration 1.5s"},
		{"--leader-elect-lease-duration=10s", "--leader-elect-renew-deadline 10s"},
		{"--leader-elect-retry-period=9s", "--leader-elect-retry-period 9s"},
		{"--leader-elect-retry-period=0s", "--leader-elect-retry-period 0s"},
		{"--list-cache-size=0", ""},
		{"--list-cache-size=1Gi", ""},
		{"--list-cache-size=-1", "--list-cache-size -1"},
		{"--cert-secret=kollect-system/certs", ""},
		{"--cert-secret=certs", `--cert-secret "certs"`},
		{"--cert-secret=kollect-system/certs --tls-cert-file=a.crt --tls-private-key-file=a.key", "--cert-secret and --tls-cert-file"},
		{"--secure-port=70000", "--secure-port"},
		{"--logging-format=xml", "format"},
	} {
		o := NewOptions()
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		for _, set := range o.Flags().FlagSets {
			fs.AddFlagSet(set)
		}
		if err := fs.Parse(strings.Fields(test.flag)); err != nil {
			t.Fatal(err)
		}
		err := o.Validate()
		if got := err != nil && strings.Contains(err.Error(), test.want); got != (test.want != "") || err != nil && !got {
			t.Errorf("%s: got %v, want %q", test.flag, err, test.want)
		}
	}
}

func TestOtherKubeconfigsDefaultToTheOne(t *testing.T) {
	o := NewOptions()
	o.Recommended.SecureServing.ServerCert.CertDirectory = t.TempDir()
	o.Recommended.CoreAPI.CoreAPIKubeconfigPath = "a"
	o.Recommended.Authorization.RemoteKubeConfigFile = "b"
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := o.Recommended.Authentication.RemoteKubeConfigFile; got != "a" {
		t.Errorf("authentication: got %q, want that of --kubeconfig", got)
	}
	if got := o.Recommended.Authorization.RemoteKubeConfigFile; got != "b" {
		t.Errorf("authorization: got %q, want its own", got)
	}
}

func TestHelpTeaches(t *testing.T) {
	cmd := NewCommand(t.Context())
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--help"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kubectl get inventories -A", "Kollect flags:", "--cluster-name", "--sink-file-root", "--sink-allowed-cidrs", "--leader-elect-namespace", "--tls-cert-file", "--version"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help does not mention %s", want)
		}
	}
}
