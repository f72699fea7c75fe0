package objectstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"kollect.io/kollect/pkg/sink"
)

// tokenTimeout bounds the fetch of a token: it does not end with the request
// that the token is for.
const tokenTimeout = 30 * time.Second

// tokenURLs are where keys of service accounts say that Google gives tokens.
var tokenURLs = []string{"https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token"}

// serviceAccountTokens returns the tokens of a service account by its key, which
// are fetched by the transport. The key names the address to fetch them from: a
// tenant's key could name any, so that it must be Google's, unless the store is
// not Google's either.
func serviceAccountTokens(ctx context.Context, p *place, key string, transport http.RoundTripper) (oauth2.TokenSource, error) {
	var content struct {
		Type     string `json:"type"`
		TokenURL string `json:"token_uri"`
	}
	if err := json.Unmarshal([]byte(key), &content); err != nil || content.Type != "service_account" {
		return nil, errSecret(gcsNeeds)
	}
	known := content.TokenURL == "" || slices.Contains(tokenURLs, content.TokenURL)
	if !known && p.params["endpoint"] == "" {
		return nil, sink.Permanent(errors.New("spec.secretRef: the key's token_uri is not Google's: use the key as Google gave it"))
	}
	client := &http.Client{Transport: transport, Timeout: tokenTimeout}
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, client)
	credentials, err := google.CredentialsFromJSONWithType(ctx, []byte(key), google.ServiceAccount, gcsScope)
	if err != nil {
		return nil, errSecret(gcsNeeds)
	}
	return quietTokens{credentials.TokenSource}, nil
}

// quietTokens leaves out of errors what the server of tokens answered.
type quietTokens struct{ source oauth2.TokenSource }

// tokenErrors are those of RFC 6749, section 5.2.
var tokenErrors = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

func (q quietTokens) Token() (*oauth2.Token, error) {
	token, err := q.source.Token()
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		return token, err
	}
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(refusal.Body, &answer) == nil && slices.Contains(tokenErrors, answer.Error) {
		return nil, fmt.Errorf("fetch a token: %s (HTTP status %d)", answer.Error, refusal.Response.StatusCode)
	}
	return nil, fmt.Errorf("fetch a token: HTTP status %d", refusal.Response.StatusCode)
}
