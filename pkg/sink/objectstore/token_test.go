package objectstore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/sink"
)

// serviceAccount returns a Secret with a key whose tokens come from tokenURL.
func serviceAccount(t *testing.T, tokenURL string) map[string][]byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "lake@project.example", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"serviceAccount": content}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless is a body that does not end before its request does.
type endless struct{ *http.Request }

func (b endless) Read([]byte) (int, error) {
	<-b.Context().Done()
	return 0, b.Context().Err()
}

func (endless) Close() error { return nil }

var emulated = &place{scheme: "gs", bucket: "lake", params: map[string]string{"endpoint": "http://gcs.lake"}}

func getObject(t *testing.T, secret map[string][]byte, transport roundTrip) error {
	t.Helper()
	client, err := gcsClient(t.Context(), emulated, secret, Options{Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get("http://gcs.lake/object")
	if err == nil {
		response.Body.Close()
	}
	return err
}

func TestTokensAreNotWaitedForForEver(t *testing.T) {
	secret := serviceAccount(t, "http://tokens.lake/")
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := getObject(t, secret, func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: endless{r}, Request: r}, nil
		})
		if err == nil || time.Since(start) > time.Minute {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestRefusedTokensAreNotQuoted(t *testing.T) {
	secret := serviceAccount(t, "http://tokens.lake/")
	for name, test := range map[string]struct {
		body, want string
		refused    bool
	}{
		"a removed key": {`{"error":"invalid_grant","error_description":"words of the server"}`, "invalid_grant", true},
		"another error": {`{"error":"words of the server"}`, "HTTP status 400", false},
		"no JSON":       {"words of the server", "HTTP status 400", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := getObject(t, secret, func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(strings.NewReader(test.body)), Request: r}, nil
			})
			if err == nil || !strings.Contains(err.Error(), test.want) || refused(err) != test.refused {
				t.Errorf("error %v (refused: %v), want %q", err, refused(err), test.want)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "words") {
					t.Errorf("the error quotes the server: %v", e)
				}
			}
		})
	}
}

func TestTokensComeFromGoogleAlone(t *testing.T) {
	gcs := &place{scheme: "gs", bucket: "lake"}
	for url, want := range map[string]string{
		"":                                    "",
		"https://oauth2.googleapis.com/token": "",
		"https://accounts.google.com/o/oauth2/token": "",
		"https://tokens.example/token":               "token_uri",
		"http://oauth2.googleapis.com/token":         "token_uri",
		"https://oauth2.googleapis.com.example/":     "token_uri",
	} {
		_, err := gcsClient(t.Context(), gcs, serviceAccount(t, url), Options{})
		if want == "" && err != nil || want != "" && (err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", url, err, want)
		}
	}
}
