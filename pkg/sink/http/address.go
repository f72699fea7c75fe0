package httpsink

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// address is a URL whose path may hold the placeholders of an inventory's names.
type address struct {
	url  *url.URL
	path string // with placeholders, otherwise escaped
}

var placeholders = [3]string{"{cluster}", "{namespace}", "{inventory}"}

var braces = strings.NewReplacer("%7B", "{", "%7D", "}")

// segmentWithPlaceholder is where the part of a path ends that all inventories share.
var segmentWithPlaceholder = regexp.MustCompile(`[^/]*[{]`)

func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return address{}, errors.New("spec.http.url: must be an http:// or https:// URL without credentials")
	}
	u.Fragment, u.RawFragment = "", ""
	a := address{url: u, path: braces.Replace(u.EscapedPath())}
	rest := a.path
	for _, placeholder := range placeholders {
		rest = strings.ReplaceAll(rest, placeholder, "")
	}
	if strings.ContainsAny(rest+u.RawQuery, "{}") {
		return address{}, errors.New("spec.http.url: may hold the placeholders {cluster}, {namespace} and {inventory} in its path, and no others")
	}
	return a, nil
}

// of returns the URL of an inventory with these escaped names.
func (a address) of(names [3]string) (*url.URL, error) {
	path := a.path
	for i, placeholder := range placeholders {
		path = strings.ReplaceAll(path, placeholder, names[i])
	}
	return a.at(path)
}

// shared returns the URL of the folder that all inventories have in common.
func (a address) shared() (*url.URL, error) {
	path := a.path
	if at := segmentWithPlaceholder.FindStringIndex(path); at != nil {
		path = path[:at[0]]
	}
	return a.at(path)
}

func (a address) at(path string) (*url.URL, error) {
	u := *a.url
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, errors.New("spec.http.url: its path is not escaped as a URL's must be")
	}
	u.RawPath = path
	return &u, nil
}

// check refuses what would send credentials in the clear, or not at all.
func (a address) check(spec kollectv1alpha1.HTTPSink, c credentials) error {
	switch {
	case spec.Method != "" && spec.Method != "PUT" && spec.Method != "POST":
		return errors.New("spec.http.method: must be PUT or POST")
	case a.url.Scheme == "https":
		return nil
	case c.authorization != "":
		return errors.New("spec.http.url: must be https:// for the token or password in the Secret not to be read on the way; hmac-key is never sent")
	case c.tls:
		return errors.New("spec.http.url: must be https:// for ca.crt, tls.crt and tls.key of the Secret to be used")
	}
	return nil
}
