package git

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// Options are the server's part of a store's configuration.
type Options struct {
	// Dial connects to the Git server, if set: it is where to bound which addresses
	// may be dialled.
	Dial remote.Dial
	// Space is what the stores of the process share to read and make packs in; nil: the
	// store has one of its own, of object.DefaultTempSize.
	Space *object.Space
}

// Open returns the store that spec describes. secret is the data of the Secret that
// the sink refers to, or nil:
//
//	token; or username and password; or bearerToken: who the sink is, over HTTPS
//	ca.crt: who is trusted; tls.crt and tls.key: a client's certificate
//	ssh-privatekey, ssh-passphrase, known_hosts: for SSH
//	signing-key, signing-passphrase: with what commits are signed
//
// It contacts nobody. Its errors name the field and the mend, and hold no secrets.
func Open(spec kollectv1alpha1.GitSink, secret map[string][]byte, options Options) (*Store, error) {
	s, err := open(spec, secret, options)
	switch {
	case errors.Is(err, errOwnDisk):
		return nil, err
	case err != nil:
		return nil, sink.Permanent(err)
	}
	return s, nil
}

func open(spec kollectv1alpha1.GitSink, secret map[string][]byte, options Options) (*Store, error) {
	s := &Store{
		layout: orElse(spec.Layout, document), format: orElse(spec.Format, "yaml"),
		author: object.Author{Name: "Kollect", Email: "kollect@kollect.io"},
		redact: sink.RedactorOf(secret, public...), busy: make(chan struct{}, 1),
		confirmed: map[inventoryName]sink.Mark{}, last: map[inventoryName]*written{},
	}
	if spec.Author != nil {
		s.author = object.Author(*spec.Author)
	}
	if spec.ConfirmInterval != nil {
		s.confirms = spec.ConfirmInterval.Duration
	}
	var err error
	if s.template, err = parseTemplate(spec.PathTemplate); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.sign, err = signer(secret); err != nil {
		return nil, err
	}
	repository, err := parseURL(spec.URL)
	if err != nil {
		return nil, fmt.Errorf("spec.git.url: %w", err)
	}
	if options.Dial == nil {
		options.Dial = (&net.Dialer{}).DialContext
	}
	connect := overHTTPS
	if s.scheme = repository.Scheme; s.scheme == "ssh" {
		connect = overSSH
	}
	transport, err := connect(repository, secret, options.Dial)
	if err != nil {
		return nil, err
	}
	if s.space = options.Space; s.space == nil {
		s.space = object.NewSpace(object.DefaultTempSize)
	}
	s.branch = newBranch(remote.New(transport, orElse(spec.Branch, "main"), s.space))
	return s, nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// check is for specs that no API server has validated.
func (s *Store) check() error {
	switch {
	case s.layout != document && s.layout != perResource:
		return errors.New("spec.git.layout: must be document or perResource")
	case s.format != "yaml" && s.format != "json":
		return errors.New("spec.git.format: must be yaml or json")
	case s.author.Name == "" || strings.ContainsAny(s.author.Name+s.author.Email, "<>\n\r\x00"):
		return errors.New("spec.git.author: must have a name, and no '<' or '>'")
	}
	return nil
}

// parseURL checks the URL. Its errors do not repeat it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("must be a URL, such as https://git.example.com/platform/inventory.git")
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "https" && u.Scheme != "ssh":
		return nil, errors.New("must start with https:// or ssh://")
	case u.Hostname() == "" || strings.Trim(u.Path, "/") == "":
		return nil, errors.New("must name a server and a repository there")
	case password || u.User != nil && u.Scheme == "https":
		return nil, errors.New("must not hold credentials: put them into a Secret and name it in spec.secretRef")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must have no '?' and no '#'")
	}
	return u, nil
}
