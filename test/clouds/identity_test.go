package clouds_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// cloud sends requests for a cloud's own host to the server that stands for it, as
// they are signed.
type cloud struct {
	host, address string
	keepHost      bool
	authorized    []string // the Authorization of each request
}

func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != c.host || r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not the cloud", r.URL)
	}
	c.authorized = append(c.authorized, r.Header.Get("Authorization"))
	r = r.Clone(r.Context())
	if r.URL.Scheme, r.URL.Host = "http", c.address; c.keepHost {
		r.Host = c.host
	} else {
		r.Host = c.address
	}
	return http.DefaultTransport.RoundTrip(r)
}

// identityToken puts what Kubernetes would project into a Pod into a file.
func identityToken(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("projected-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// testAmbient exports with no Secret as a sink of an administrator, and is refused
// as one of a tenant.
func testAmbient(t *testing.T, d *destination, url string, c *cloud) {
	t.Helper()
	spec := kollectv1alpha1.ObjectStoreSink{URL: url, Prefix: "some/where", Format: kollectv1alpha1.FormatNDJSON}
	options := objectstore.Options{Client: &http.Client{Transport: c}}
	if store, err := objectstore.Open(t.Context(), spec, nil, options); err == nil || !strings.Contains(err.Error(), "spec.secretRef: must name a Secret") {
		if err == nil {
			store.Close()
		}
		t.Errorf("a tenant's sink: error %v", err)
	}
	options.AmbientCredentials = true
	store, err := objectstore.Open(t.Context(), spec, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(10)
	if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 1, Time: when}); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read(t.Context(), s.Snapshot().Inventory()); err != nil || got.Generation != 1 || len(got.Rows) != 10 {
		t.Errorf("a reader sees %v, %v", got, err)
	}
}

// without takes variables out of the environment.
func without(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, "") // has it set again afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// testWebIdentity is what EKS gives a Pod whose service account has a role. The keys
// come without a session, which the server does not know.
func testWebIdentity(t *testing.T, d *destination) {
	var asked []string
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.FormValue("Action")+" "+r.FormValue("RoleArn")+" "+r.FormValue("WebIdentityToken"))
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><Expiration>%s</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, accessKey, secretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(tokens.Close)
	without(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ENDPOINT_URL_STS", tokens.URL)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/lake")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", identityToken(t))
	testAmbient(t, d, "s3://"+d.name+"?use_path_style=true&region=us-east-1", &cloud{host: "s3.us-east-1.amazonaws.com", address: d.address, keepHost: true})
	if len(asked) != 1 || asked[0] != "AssumeRoleWithWebIdentity arn:aws:iam::1:role/lake projected-token" {
		t.Errorf("asked for tokens: %q", asked)
	}
}

// testEnvironment is a key in the server's environment.
func testEnvironment(t *testing.T, d *destination) {
	without(t, "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SESSION_TOKEN", "AWS_PROFILE")
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	testAmbient(t, d, "s3://"+d.name+"?use_path_style=true&region=us-east-1", &cloud{host: "s3.us-east-1.amazonaws.com", address: d.address, keepHost: true})
}

// testFederation is the identity of a service account of Kubernetes, for which
// Google gives tokens of its own.
func testFederation(t *testing.T, d *destination) {
	var asked []string
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.FormValue("subject_token")+" "+r.FormValue("audience"))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "of-google", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	t.Cleanup(tokens.Close)
	config, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/pool", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": tokens.URL, "credential_source": map[string]string{"file": identityToken(t)},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "google.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	c := &cloud{host: "storage.googleapis.com", address: d.address}
	testAmbient(t, d, "gs://"+d.name, c)
	if len(asked) != 1 || asked[0] != "projected-token //iam.googleapis.com/pool" {
		t.Errorf("asked for tokens: %q", asked)
	}
	for _, got := range c.authorized {
		if got != "Bearer of-google" {
			t.Errorf("sent %q", got)
		}
	}
}
