package objectstore

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// slowBody is a body whose last part comes late.
type slowBody struct {
	first  io.Reader
	closed atomic.Bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if n, err := b.first.Read(p); err == nil {
		return n, nil
	}
	time.Sleep(100 * time.Millisecond)
	return 0, io.EOF
}

func (b *slowBody) Close() error {
	b.closed.Store(true)
	return nil
}

// A server that answers with an error before it has the whole body does not have it
// read any more once the error is known.
func TestNobodyReadsTheBodyOfAnEndedTry(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		http.Error(w, "busy", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	body := &slowBody{first: strings.NewReader("the first part")}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := retried{http.DefaultTransport}.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if !body.closed.Load() {
		t.Error("the body may still be read")
	}
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusServiceUnavailable || string(text) != "busy\n" || err != nil {
		t.Errorf("the answer is %d %q, %v", response.StatusCode, text, err)
	}
}
