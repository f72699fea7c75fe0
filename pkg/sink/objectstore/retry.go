package objectstore

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// errorBytes is how much of an error's text is kept: it is XML or JSON of some lines.
const errorBytes = 64 << 10

// retried takes requests that are made again with the same body: azcore reads it from
// its beginning then, and Google's client reads the next part into its memory after
// that. net/http goes on sending a body to a server that has answered with an error
// before it had all; here nobody learns of the error until that has ended.
type retried struct{ http.RoundTripper }

// RoundTrip makes the request.
func (r retried) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return r.RoundTripper.RoundTrip(request)
	}
	body := &closing{ReadCloser: request.Body, closed: make(chan struct{})}
	request = request.WithContext(request.Context()) // a copy
	request.Body = body
	response, err := r.RoundTripper.RoundTrip(request)
	if err == nil {
		if response.StatusCode < http.StatusBadRequest {
			return response, nil
		}
		// To close the answer's body before its end closes the connection.
		text, _ := io.ReadAll(io.LimitReader(response.Body, errorBytes)) // what there is of it
		response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(text))
	}
	<-body.closed // as http.RoundTripper promises, also if the request is given up
	return response, err
}

// closing is a body that tells when it was closed.
type closing struct {
	io.ReadCloser
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	err := c.ReadCloser.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}
