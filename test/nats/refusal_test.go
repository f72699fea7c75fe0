package nats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestNothingIsMadeThatMustExist(t *testing.T) {
	t.Parallel()
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), jetstream.StreamConfig{})
	look := func() error {
		e, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: d.address, Stream: streamName}, nil, nats.Options{MustExist: true})
		if err == nil {
			e.Close()
		}
		return err
	}
	if err := look(); !errors.Is(err, sink.ErrAbsent) {
		t.Fatalf("error is %v", err)
	}
	if _, err := d.js.Stream(t.Context(), streamName); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("the stream is there: %v", err)
	}
	d.open(t).Close()
	if err := look(); err != nil {
		t.Fatal(err)
	}
}

func TestStreamsThatDoNotFit(t *testing.T) {
	address := start(t, options(t.TempDir())).ClientURL()
	js := client(t, address)
	// When an account's last stream is deleted, the server removes the account's folder
	// a little later, beneath whatever is being created then: this one stays.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "STAYS", Subjects: []string{"stays"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config jetstream.StreamConfig
		says   string
	}{
		"an age":              {jetstream.StreamConfig{MaxAge: time.Hour}, "max_age"},
		"a number":            {jetstream.StreamConfig{MaxMsgs: 10}, "max_msgs"},
		"a size":              {jetstream.StreamConfig{MaxBytes: 1 << 20}, "max_bytes"},
		"a work queue":        {jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, "retention"},
		"interest":            {jetstream.StreamConfig{Retention: jetstream.InterestPolicy}, "retention"},
		"no answers":          {jetstream.StreamConfig{NoAck: true}, "no_ack"},
		"refusing of changes": {jetstream.StreamConfig{MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true}, "discard_new_per_subject"},
	} {
		t.Run(name, func(t *testing.T) {
			// The files of a stream may outlive it, too: each has a name of its own.
			name := "KOLLECT_" + strings.ReplaceAll(name, " ", "_")
			c.config.Name, c.config.Subjects = name, []string{"kollect.v1.>"}
			if _, err := js.CreateStream(t.Context(), c.config); err != nil {
				t.Fatal(err)
			}
			defer js.DeleteStream(t.Context(), name)
			_, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: address, Stream: name}, nil, nats.Options{})
			mustRefuse(t, err, "spec.nats.stream", name, c.says)
		})
	}
	t.Run("another stream's subjects", func(t *testing.T) {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"kollect.>"}}); err != nil {
			t.Fatal(err)
		}
		defer js.DeleteStream(t.Context(), "OTHER")
		_, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: address, Stream: streamName}, nil, nats.Options{})
		mustRefuse(t, err, "spec.nats.stream", "kollect.v1.>")
	})
	t.Run("other subjects", func(t *testing.T) {
		d := newDestination(t, address, jetstream.StreamConfig{Name: streamName, Subjects: []string{"kollect.v1.demo.team-a.>"}})
		e := d.open(t)
		defer e.Close()
		sample := sinktest.NewSample(ref)
		mustExport(t, e, sample.Snapshot(), 1)
		_, err := e.Mark(t.Context(), sinktest.NewSampleOf("other", ref).Snapshot().Inventory())
		mustRefuse(t, err, "spec.nats.stream", streamName, "kollect.v1.>")
	})
}

// mustRefuse checks that an error is permanent and says what to mend.
func mustRefuse(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil || !sink.IsPermanent(err) {
		t.Fatalf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("error %q tells a secret", err)
	}
}

func TestRowTooLargeForAMessage(t *testing.T) {
	o := options(t.TempDir())
	o.MaxPayload = 64 << 10
	d := newDestination(t, start(t, o).ClientURL(), jetstream.StreamConfig{})
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Set("web", "nginx:1.27")
	mustExport(t, e, sample.Snapshot(), 1)
	held := sample.Snapshot()
	sample.Set("api", "nginx:1.27")
	for _, length := range []int{64<<10 - 800, 64 << 10, 1 << 20} {
		sample.SetAttributes("large", `{"image":"`+strings.Repeat("x", length)+`"}`)
		base, mark, err := resume(t.Context(), e, held.Inventory())
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(held.Inventory())))
		mustRefuse(t, err, "Deployment team-a/large", "team-a/web", "max_payload", "profile", "spec.nats.oversizedRows")
		mustRead(t, d, held, 1)
		for entry := range sample.Snapshot().All() {
			err := e.Refuses(held.Inventory(), entry.Key, entry.Row)
			if large := entry.Row.Name() == "large"; large != (err != nil) {
				t.Errorf("%s is refused: %v", entry.Row.Name(), err)
			}
		}
	}
	// What just fits is published.
	sample.SetAttributes("large", `{"image":"`+strings.Repeat("x", 62<<10)+`"}`)
	mustExport(t, e, sample.Snapshot(), 3)
	mustRead(t, d, sample.Snapshot(), 3)
}

func TestReferenceToARowTooLargeForAMessage(t *testing.T) {
	o := options(t.TempDir())
	o.MaxPayload = 64 << 10
	d := newDestination(t, start(t, o).ClientURL(), jetstream.StreamConfig{})
	d.oversized = kollectv1alpha1.OversizedReference
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Set("web", "nginx:1.27")
	sample.SetAttributes("large", `{"image":"`+strings.Repeat("x", 64<<10)+`"}`)
	mustExport(t, e, sample.Snapshot(), 1)
	references := 0
	err := d.consume(t.Context(), sample.Snapshot().Inventory(), func(kind string, m jetstream.Msg) error {
		at := m.Headers().Get("ce-dataref")
		if at == "" {
			return nil
		}
		references++
		var row struct {
			Source             struct{ Name string }
			Attributes, Labels json.RawMessage
		}
		if err := json.Unmarshal(m.Data(), &row); err != nil || row.Source.Name != "large" || row.Attributes != nil || row.Labels != nil {
			t.Errorf("reference %s: %v", m.Data(), err)
		}
		if want := "/apis/inventory.kollect.io/v1alpha1/namespaces/team-a/inventoryrows/apps." + keyOf(m); at != want {
			t.Errorf("it refers to %s, want %s", at, want)
		}
		return nil
	})
	if err != nil || references != 1 {
		t.Fatalf("%d references: %v", references, err)
	}
	// Once it is told, it is not told again.
	_, mark, err := resume(t.Context(), e, sample.Snapshot().Inventory())
	if err != nil || mark.Hash != sample.Snapshot().Hash().String() {
		t.Errorf("the mark is %+v: %v", mark, err)
	}
}

func TestCredentials(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.PublicKey()
	seed, _ := key.Seed()
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	otherSeed, _ := other.Seed()
	type secret = map[string][]byte
	for name, c := range map[string]struct {
		configure func(*server.Options)
		right     secret
		wrong     []secret
	}{
		"password": {
			func(o *server.Options) { o.Username, o.Password = "kollect", "s3cr3t-right" },
			secret{"username": []byte("kollect"), "password": []byte("s3cr3t-right\n")},
			[]secret{nil, {"username": []byte("kollect"), "password": []byte("s3cr3t-wrong")}},
		},
		"token": {
			func(o *server.Options) { o.Authorization = "s3cr3t-right" },
			secret{"token": []byte("s3cr3t-right")},
			[]secret{nil, {"token": []byte("s3cr3t-wrong")}},
		},
		"nkey": {
			func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} },
			secret{"nkey": seed},
			[]secret{nil, {"nkey": otherSeed}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			c.configure(o)
			address := start(t, o).ClientURL()
			spec := kollectv1alpha1.NATSSink{URL: address, Stream: streamName}
			e, err := nats.Open(t.Context(), spec, c.right, nats.Options{})
			if err != nil {
				t.Fatalf("right: %v", err)
			}
			defer e.Close()
			mustExport(t, e, sinktest.NewSample(ref).Snapshot(), 1)
			for _, wrong := range c.wrong {
				_, err := nats.Open(t.Context(), spec, wrong, nats.Options{})
				mustRefuse(t, err, "Secret", "127.0.0.1")
			}
		})
	}
}

func TestRights(t *testing.T) {
	o := options(t.TempDir())
	may := &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"kollect.v1.>", "$JS.API.STREAM.INFO.KOLLECT", "$JS.API.STREAM.MSG.GET.KOLLECT", "$JS.API.STREAM.CREATE.KOLLECT",
			"$JS.API.CONSUMER.CREATE.KOLLECT.>", "$JS.API.CONSUMER.DELETE.KOLLECT.>", "$JS.API.CONSUMER.MSG.NEXT.KOLLECT.>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	mayNot := &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}}, Subscribe: may.Subscribe}
	o.Users = []*server.User{
		{Username: "may", Password: "s3cr3t-1", Permissions: may},
		{Username: "may-not", Password: "s3cr3t-2", Permissions: mayNot},
	}
	address := start(t, o).ClientURL()
	open := func(user, password string) *nats.Emitter {
		t.Helper()
		e, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: address, Stream: streamName},
			map[string][]byte{"username": []byte(user), "password": []byte(password)}, nats.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
	sample := sinktest.NewSample(ref)
	sample.Fill(10)
	mustExport(t, open("may", "s3cr3t-1"), sample.Snapshot(), 1) // those rights are all that it takes
	denied := open("may-not", "s3cr3t-2")
	base, mark, err := resume(t.Context(), denied, sample.Snapshot().Inventory())
	if err != nil {
		t.Fatal(err)
	}
	sample.Set("web", "nginx:1.27")
	_, err = denied.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), 2, denied.Schema(sample.Snapshot().Inventory())))
	mustRefuse(t, err, "kollect.v1.", "allow it")
}

func TestTLS(t *testing.T) {
	certificate, ca := selfSigned(t)
	o := options(t.TempDir())
	o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	address := start(t, o).Addr().String()
	generation := int64(0)
	for name, c := range map[string]struct {
		url    string
		secret map[string][]byte
		says   string // empty: it works
	}{
		"trusted":                {"tls://" + address, map[string][]byte{"ca.crt": ca}, ""},
		"trusted, as nats://":    {"nats://" + address, map[string][]byte{"ca.crt": ca}, ""},
		"not trusted":            {"tls://" + address, nil, "certificate"},
		"not trusted by default": {"nats://" + address, nil, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: c.url, Stream: streamName}, c.secret, nats.Options{})
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				generation++ // in whatever order
				mustExport(t, e, sinktest.NewSample(ref).Snapshot(), generation)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
		})
	}
	t.Run("server without TLS", func(t *testing.T) {
		_, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{
			URL: strings.Replace(start(t, options(t.TempDir())).ClientURL(), "nats:", "tls:", 1), Stream: streamName,
		}, nil, nats.Options{})
		mustRefuse(t, err, "TLS")
	})
}

func selfSigned(t *testing.T) (certificate tls.Certificate, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestNoServer(t *testing.T) {
	s := start(t, options(t.TempDir()))
	address := s.ClientURL()
	stop(s)
	_, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: address, Stream: streamName}, nil, nats.Options{})
	if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), strings.TrimPrefix(address, "nats://")) {
		t.Errorf("error is %v", err)
	}
	o := options(t.TempDir())
	o.JetStream = false
	_, err = nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: start(t, o).ClientURL(), Stream: streamName}, nil, nats.Options{})
	if err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("without JetStream: %v", err)
	}
}
