package httpsink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kollect.io/kollect/pkg/sink"
)

// briefBytes of what a receiver says are repeated.
const briefBytes = 200

// refusal says what an answer that is not 2xx means: fenced, permanent, or worth
// another try.
func (s *Store) refusal(doing string, a *answer) error {
	said := fmt.Sprintf("the endpoint answered with status %d", a.status)
	if text := strings.TrimSpace(string(a.body[:min(len(a.body), briefBytes)])); text != "" {
		said += ": " + strings.ToValidUTF8(text, "?")
	}
	said = s.redact.Text(said)
	switch a.status {
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %s: %w", doing, said, sink.ErrFenced)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return sink.RetryAfter(fmt.Errorf("%s: %s", doing, said), s.retryAfter(a.header.Get("Retry-After")))
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return fmt.Errorf("%s: %s", doing, said)
	}
	if mend := s.mend(a); mend != "" {
		return sink.Permanent(fmt.Errorf("%s: %s: %s", doing, said, mend))
	}
	return fmt.Errorf("%s: %s", doing, said)
}

// mend says what somebody has to do about an answer; empty: it may pass.
func (s *Store) mend(a *answer) string {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "mend the token, the username and password, the hmac-key or the client's certificate in the sink's Secret, or allow its user to write there"
	case http.StatusNotFound, http.StatusGone:
		return "set spec.http.url to where snapshots are taken"
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return "set spec.http.method to PUT or POST, as the endpoint expects, or spec.http.url to where snapshots are taken"
	case http.StatusRequestEntityTooLarge:
		return "raise how much the endpoint, and what stands before it, take in one request"
	case http.StatusUnsupportedMediaType:
		return "set spec.http.format to json or ndjson, as the endpoint expects, and have it take Content-Encoding: gzip"
	}
	switch {
	case a.status/100 == 3:
		return fmt.Sprintf("set spec.http.url to where snapshots are taken: a redirect is followed on the same host alone, and if the method stays, as with 307 and 308; this one is to %s", s.redact.Text(location(a)))
	case a.status/100 == 4:
		return "mend the endpoint, or spec.http"
	}
	return ""
}

// location is where an answer redirects to, for people to read.
func location(a *answer) string {
	to := a.header.Get("Location")
	if to == "" {
		return "nowhere"
	}
	return strconv.QuoteToASCII(to[:min(len(to), briefBytes)])
}

// retryAfter reads the header (RFC 9110, 10.2.3); 0: it says nothing.
func (s *Store) retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(time.Duration(seconds)*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(s.now()), 0)
	}
	return 0
}

// trustHint says what to do about a certificate that is not trusted.
func trustHint(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ": put the certificate of the authority that signed the endpoint's into ca.crt of the sink's Secret"
	}
	return ""
}
