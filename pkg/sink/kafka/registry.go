package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// framed is what Mark.Schema ends with if values begin with the ID of their schema.
const framed = "+registry"

// frameSize is that of what values begin with, in Confluent's wire format: a byte of
// zero, and the ID of the schema in four bytes, the highest first. No JSON begins
// with a zero.
const frameSize = 5

func frameOf(id int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
}

// unframed returns the JSON of a value.
func unframed(value []byte) []byte {
	if len(value) >= frameSize && value[0] == 0 {
		return value[frameSize:]
	}
	return value
}

// answerBytes bounds an answer of a registry: the schema, and what may stand around it.
const answerBytes = 1 << 20

// register looks up the ID that the registry has given to the schema of the topic's
// values, with which they begin from then on. It registers the schema if it is not there.
func (e *Emitter) register(ctx context.Context, spec *kollectv1alpha1.SchemaRegistry, secret map[string][]byte, options Options) error {
	address, err := url.Parse(spec.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || address.User != nil {
		return sink.Permanent(errors.New("spec.kafka.schemaRegistry.url: must be an http:// or https:// URL without credentials"))
	}
	client, err := registryClient(spec.URL, secret, options)
	if err != nil {
		return sink.Permanent(err)
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	subject := e.topic + "-value" // as most clients name it
	schema := sr.Schema{Schema: cloudevent.ValueSchema, Type: sr.TypeJSON}
	// Who may not register schemas may have somebody else do it.
	found, err := client.LookupSchema(ctx, subject, schema)
	if answer, ok := errors.AsType[*sr.ResponseError](err); ok && answer.StatusCode == http.StatusNotFound {
		if e.mustExist {
			return nil
		}
		found.ID, err = client.RegisterSchema(ctx, subject, schema, -1, -1)
	}
	if err != nil {
		return e.explain("look up the schema "+subject, registryError(cause(ctx, err), subject))
	}
	if found.ID < 0 || found.ID > math.MaxUint32 {
		return fmt.Errorf("look up the schema %s: the registry answered with the ID %d", subject, found.ID)
	}
	e.frame = frameOf(found.ID)
	return nil
}

func registryClient(address string, secret map[string][]byte, options Options) (*sr.Client, error) {
	trust, err := sink.TLSConfig(secret, true)
	if err != nil {
		return nil, err
	}
	value := func(key string) string { return strings.TrimSpace(string(secret[key])) }
	opts := []sr.ClientOpt{
		sr.URLs(address),
		sr.UserAgent("kollect"),
		sr.HTTPClient(&http.Client{
			Transport: bounded{&http.Transport{
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					ctx, cancel := context.WithTimeout(ctx, dialTimeout)
					defer cancel()
					return options.Dial(ctx, network, address)
				},
				TLSClientConfig: trust, TLSHandshakeTimeout: dialTimeout, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			}},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return sink.Permanent(errors.New("the registry redirects: set spec.kafka.schemaRegistry.url to where it is"))
			},
			Timeout: options.Timeout + time.Second, // e.bounded comes first and says why
		}),
	}
	user, password, token := value("registry-username"), value("registry-password"), value("registry-token")
	switch {
	case user != "" && password != "":
		opts = append(opts, sr.BasicAuth(user, password))
	case user != "" || password != "":
		return nil, errors.New("spec.secretRef: a Secret with one of the keys registry-username and registry-password must have both")
	case token != "":
		opts = append(opts, sr.BearerToken(token))
	}
	return sr.NewClient(opts...)
}

// bounded bounds the answers.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > answerBytes:
		return nil, sink.Permanent(fmt.Errorf("the answer has more than %d bytes: spec.kafka.schemaRegistry.url must be that of a schema registry", answerBytes))
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// registryError says what somebody has to do about a refusal. What a registry that
// is about to mend itself answers is worth another try.
func registryError(err error, subject string) error {
	answer, ok := errors.AsType[*sr.ResponseError](err)
	if !ok {
		return err
	}
	mend := ""
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		mend = "mend registry-username and registry-password, or registry-token, in the sink's Secret"
	case http.StatusForbidden:
		mend = fmt.Sprintf("allow the user of the sink's credentials to read and write subject %s, or register the schema yourself", subject)
	case http.StatusConflict:
		mend = fmt.Sprintf("subject %s has a schema that Kollect's is not compatible with: remove it, or set spec.kafka.topic to a topic that is Kollect's alone", subject)
	case http.StatusUnprocessableEntity:
		mend = "use a registry that takes JSON Schema"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		mend = "set spec.kafka.schemaRegistry.url to where the registry's API begins, such as https://registry:8081"
	default:
		return fmt.Errorf("the registry answered with status %d: %s", answer.StatusCode, brief(answer.Error()))
	}
	return sink.Permanent(fmt.Errorf("the registry answered with status %d: %s: %s", answer.StatusCode, brief(answer.Error()), mend))
}

// brief cuts what a server says to what fits into a condition.
func brief(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}
