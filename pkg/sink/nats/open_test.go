package nats

import (
	"errors"
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

func TestConfigurationIsChecked(t *testing.T) {
	right := kollectv1alpha1.NATSSink{URL: "nats://127.0.0.1:1", Stream: "KOLLECT"}
	type secret = map[string][]byte
	for name, c := range map[string]struct {
		spec   kollectv1alpha1.NATSSink
		secret secret
		says   []string
	}{
		"no URL":              {kollectv1alpha1.NATSSink{Stream: "KOLLECT"}, nil, []string{"spec.nats.url", "nats://"}},
		"another scheme":      {kollectv1alpha1.NATSSink{URL: "http://nats:4222", Stream: "KOLLECT"}, nil, []string{"spec.nats.url", "nats://"}},
		"a password":          {kollectv1alpha1.NATSSink{URL: "nats://me:s3cr3t@nats:4222", Stream: "KOLLECT"}, nil, []string{"spec.nats.url", "Secret"}},
		"a malformed URL":     {kollectv1alpha1.NATSSink{URL: "nats://me:s3cr3t@na ts:4222", Stream: "KOLLECT"}, nil, []string{"spec.nats.url"}},
		"a path":              {kollectv1alpha1.NATSSink{URL: "nats://nats:4222/x", Stream: "KOLLECT"}, nil, []string{"spec.nats.url"}},
		"no stream":           {kollectv1alpha1.NATSSink{URL: "nats://nats"}, nil, []string{"spec.nats.stream"}},
		"a stream's wildcard": {kollectv1alpha1.NATSSink{URL: "nats://nats", Stream: "a.*"}, nil, []string{"spec.nats.stream"}},
		"an empty Secret":     {right, secret{}, []string{"spec.secretRef", "username"}},
		"two credentials":     {right, secret{"token": []byte("s3cr3t"), "username": []byte("u")}, []string{"spec.secretRef", "username and token"}},
		"no nkey":             {right, secret{"nkey": []byte("s3cr3t")}, []string{"spec.secretRef", "nkey"}},
		"no credentials":      {right, secret{"creds": []byte("s3cr3t")}, []string{"spec.secretRef", "creds"}},
		"no certificates":     {right, secret{"ca.crt": []byte("s3cr3t")}, []string{"spec.secretRef", "ca.crt"}},
		"no key":              {right, secret{"tls.crt": []byte("s3cr3t")}, []string{"spec.secretRef", "tls.key"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(t.Context(), c.spec, c.secret, Options{})
			if err == nil {
				e.Close()
				t.Fatal("it was opened")
			}
			if !sink.IsPermanent(err) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not say %q", err, word)
				}
			}
		})
	}
}

func TestErrorsHaveNoSecrets(t *testing.T) {
	e := &Emitter{redact: sink.RedactorOf(map[string][]byte{"password": []byte("s3c/r3t\n"), "token": []byte("abc"), "ca.crt": []byte("public")}, public...)}
	err := e.explain("connect", errors.New("dial nats://me:s3c%2Fr3t@host, s3c/r3t,\nabc, public"))
	if want := "connect: dial nats://***@host, ***, abc, public"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if err := e.explain("connect", sink.Permanent(errors.New("s3c/r3t"))); !sink.IsPermanent(err) || strings.Contains(err.Error(), "r3t") {
		t.Errorf("error %q (permanent: %t)", err, sink.IsPermanent(err))
	}
	if err := e.explain("connect", sink.ErrFenced); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("error %q is not ErrFenced any more", err)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"2.11.0": true, "2.12.0-RC.1": true, "2.15.3": true, "3.0.0": true, "2.10.29": false, "1.9.9": false, "": false, "2": false, "x.y.z": false,
	} {
		if fits(version) != want {
			t.Errorf("version %q fits: %t", version, !want)
		}
	}
}
