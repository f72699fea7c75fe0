package httpsink

import (
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const password = "hunter2hunter2"

// Each is refused before anything is contacted, with the field and without what may
// be secret.
func TestOpenRefuses(t *testing.T) {
	type secret = map[string]string
	for name, tc := range map[string]struct {
		spec   kollectv1alpha1.HTTPSink
		secret secret
		want   string
	}{
		"no URL":                   {spec: kollectv1alpha1.HTTPSink{}, want: "spec.http.url"},
		"another scheme":           {spec: kollectv1alpha1.HTTPSink{URL: "file:///etc"}, want: "spec.http.url"},
		"credentials in the URL":   {spec: kollectv1alpha1.HTTPSink{URL: "https://u:" + password + "@host"}, want: "without credentials"},
		"not a URL":                {spec: kollectv1alpha1.HTTPSink{URL: "https://" + password + "@%zz"}, want: "spec.http.url"},
		"another placeholder":      {spec: kollectv1alpha1.HTTPSink{URL: "https://host/{ns}"}, want: "placeholders"},
		"a placeholder in a query": {spec: kollectv1alpha1.HTTPSink{URL: "https://host/?c={cluster}"}, want: "in its path"},
		"a method that reads":      {spec: kollectv1alpha1.HTTPSink{URL: "https://host", Method: "GET"}, want: "spec.http.method"},
		"another format":           {spec: kollectv1alpha1.HTTPSink{URL: "https://host", Format: "parquet"}, want: "spec.http.format"},
		"a token in the clear":     {spec: kollectv1alpha1.HTTPSink{URL: "http://host"}, secret: secret{"token": password}, want: "must be https://"},
		"a password in the clear":  {spec: kollectv1alpha1.HTTPSink{URL: "http://host"}, secret: secret{"username": "u", "password": password}, want: "must be https://"},
		"trust in the clear":       {spec: kollectv1alpha1.HTTPSink{URL: "http://host"}, secret: secret{"ca.crt": "x"}, want: "ca.crt"},
		"two ways to log in":       {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"token": password, "username": "u", "password": password}, want: "either token"},
		"no password":              {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"username": password}, want: "must have both"},
		"a token with a line":      {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"token": password + "\nX: y"}, want: "no space"},
		"a short key":              {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"hmac-key": password}, want: "at least 16"},
		"an empty key":             {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"hmac-key": ""}, want: "at least 16"},
		"no certificates":          {spec: kollectv1alpha1.HTTPSink{URL: "https://host"}, secret: secret{"ca.crt": password}, want: "ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for key, value := range tc.secret {
				data[key] = []byte(value)
			}
			_, err := Open(tc.spec, data, Options{})
			if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), password) {
				t.Errorf("error %v, want a permanent one with %q and without the password", err, tc.want)
			}
		})
	}
}

// An endpoint may repeat in an error what it was sent.
func TestCredentialsAreRedactedAsTheyAreSent(t *testing.T) {
	for _, secret := range []map[string][]byte{{"token": []byte(password + "\n")}, {"username": []byte("u"), "password": []byte(password)}} {
		store, err := Open(kollectv1alpha1.HTTPSink{URL: "https://host"}, secret, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, sent, _ := strings.Cut(store.authorization, " ")
		if text := store.redact.Text("unknown: " + store.authorization); strings.Contains(text, sent) {
			t.Errorf("%q", text)
		}
	}
}

func TestAddresses(t *testing.T) {
	team := inventory.Inventory{Cluster: "a/b", Ref: inventory.Ref{Namespace: "team", Name: "apps"}}
	all := inventory.Inventory{Cluster: "ü", Ref: inventory.Ref{Name: "apps"}}
	for url, want := range map[string][3]string{ // of team, of all, shared
		"https://host":              {"https://host", "https://host", "https://host"},
		"https://host/in%2Fv?x=%7B": {"https://host/in%2Fv?x=%7B", "https://host/in%2Fv?x=%7B", "https://host/in%2Fv?x=%7B"},
		"https://host/v1/{cluster}/n-{namespace}/{inventory}?x=y": {"https://host/v1/a%2Fb/n-team/apps?x=y", "https://host/v1/%C3%BC/n-_cluster/apps?x=y", "https://host/v1/?x=y"},
	} {
		a, err := parseAddress(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		shared, err := a.shared()
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{urlOf(t, a, &team), urlOf(t, a, &all), shared.String()}; got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	for _, cluster := range []string{"", ".", ".."} {
		if _, err := names(&inventory.Inventory{Cluster: cluster, Ref: team.Ref}); !sink.IsPermanent(err) {
			t.Errorf("a cluster called %q: %v, want a permanent error", cluster, err)
		}
	}
}

func urlOf(t *testing.T, a address, of *inventory.Inventory) string {
	t.Helper()
	names, err := names(of)
	if err != nil {
		t.Fatal(err)
	}
	u, err := a.of(names)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}
