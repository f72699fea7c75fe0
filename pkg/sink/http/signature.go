package httpsink

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// signatureLabel names Kollect's among the signatures of a request.
const signatureLabel = "kollect"

// covered are the headers that a signature covers if a request has them. The host is
// not among them: what stands before a receiver may change it, and who could misuse
// that knows the key.
var covered = []string{
	"Content-Type", "Content-Encoding", headerContentDigest, headerIdempotencyKey,
	headerCluster, headerNamespace, headerInventory, headerGeneration, headerContentHash,
	headerSchema, headerRows, headerTime, headerForgotten, headerBase,
}

// signer signs each request as HTTP Message Signatures (RFC 9421) have it, with
// hmac-sha256. It does so last, so that a request which follows a redirect is signed
// for where it goes.
type signer struct {
	http.RoundTripper
	key []byte
	now func() time.Time
}

func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	components := []string{"@method", "@path", "@query"}
	for _, header := range covered {
		if r.Header.Get(header) != "" {
			components = append(components, strings.ToLower(header))
		}
	}
	params := fmt.Sprintf(`("%s");created=%d;keyid="%s";alg="hmac-sha256"`, strings.Join(components, `" "`), s.now().Unix(), signatureLabel)
	base := signatureBase(components, params, func(component string) string { return valueOf(r, component) })
	r.Header.Set("Signature-Input", signatureLabel+"="+params)
	r.Header.Set("Signature", signatureLabel+"=:"+sign(s.key, base)+":")
	return s.RoundTripper.RoundTrip(r)
}

// valueOf returns the value of a component (RFC 9421, 2.1 and 2.2).
func valueOf(r *http.Request, component string) string {
	switch component {
	case "@method":
		return r.Method
	case "@path":
		if path := r.URL.EscapedPath(); path != "" {
			return path
		}
		return "/"
	case "@query":
		return "?" + r.URL.RawQuery
	default:
		return strings.TrimSpace(r.Header.Get(component))
	}
}

// signatureBase returns what is signed (RFC 9421, 2.5).
func signatureBase(components []string, params string, value func(component string) string) string {
	var base strings.Builder
	for _, component := range components {
		fmt.Fprintf(&base, "%q: %s\n", component, value(component))
	}
	fmt.Fprintf(&base, "%q: %s", "@signature-params", params)
	return base.String()
}

func sign(key []byte, base string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
