package objectstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// place is where a URL points to: its scheme, bucket, and the parameters that
// the scheme allows.
type place struct {
	scheme string
	bucket string   // or container
	path   []string // of a file URL
	params map[string]string
}

// parameters of the URL by scheme. A tenant writes the URL, so that everything
// which makes a driver read the server's files, profiles or roles is left out.
var parameters = map[string][]string{
	"file":   {},
	"s3":     {"region", "endpoint", "use_path_style", "s3ForcePathStyle", "request_checksum_calculation", "ssetype", "kmskeyid", "storage_class"},
	"gs":     {"endpoint", "anonymous", "storage_class"},
	"azblob": {"storage_account", "domain", "protocol", "localemu", "storage_class"},
}

var bucketNames = map[string]*regexp.Regexp{
	"s3":     regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`),
	"gs":     regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`),
	"azblob": regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`),
}

// values are what parameters may be.
var values = map[string]*regexp.Regexp{
	"region":                       regexp.MustCompile(`^[a-z0-9-]{1,64}$`),
	"use_path_style":               regexp.MustCompile(`^(true|false)$`),
	"s3ForcePathStyle":             regexp.MustCompile(`^(true|false)$`),
	"request_checksum_calculation": regexp.MustCompile(`^(when_supported|when_required)$`),
	"ssetype":                      regexp.MustCompile(`^(AES256|aws:kms|aws:kms:dsse)$`),
	"kmskeyid":                     regexp.MustCompile(`^[A-Za-z0-9:/_-]{1,256}$`),
	"anonymous":                    regexp.MustCompile(`^(true|false)$`),
	"storage_account":              regexp.MustCompile(`^[a-z0-9]{3,24}$`),
	"domain":                       regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$`),
	"protocol":                     regexp.MustCompile(`^(http|https)$`),
	"localemu":                     regexp.MustCompile(`^(true|false)$`),
}

// classes are the storage classes by scheme: those from which objects are read at
// once. Servers that are compatible with S3 have names of their own.
var classes = map[string]*regexp.Regexp{
	"s3":     regexp.MustCompile(`^[A-Z0-9_-]{1,64}$`),
	"gs":     regexp.MustCompile(`^(STANDARD|NEARLINE|COLDLINE|ARCHIVE)$`),
	"azblob": regexp.MustCompile(`^(Hot|Cool|Cold)$`),
}

// archives are those from which objects have to be restored before they are read.
var archives = []string{"GLACIER", "DEEP_ARCHIVE", "Archive"}

// checkClass checks the storage class, if one is given.
func (p *place) checkClass() error {
	class, ok := p.params["storage_class"]
	switch {
	case !ok:
		return nil
	case slices.Contains(archives, class):
		return errors.New("has a storage_class from which nothing can be read at once: leave archiving to a rule of the bucket, for what nobody reads any more")
	case !classes[p.scheme].MatchString(class):
		return fmt.Errorf("has a value of storage_class that is not valid for %s, such as %s", p.scheme,
			map[string]string{"s3": "STANDARD_IA or INTELLIGENT_TIERING", "gs": "NEARLINE", "azblob": "Cool"}[p.scheme])
	}
	return nil
}

// parseURL checks the URL and takes it apart. Its errors do not repeat it.
func parseURL(raw string) (*place, error) {
	p, err := splitURL(raw)
	if err != nil {
		return nil, fmt.Errorf("spec.objectStore.url: %w", err)
	}
	return p, nil
}

func splitURL(raw string) (*place, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("must be a URL, such as s3://bucket?region=eu-central-1")
	}
	allowed, ok := parameters[u.Scheme]
	switch {
	case !ok:
		return nil, errors.New("must start with s3://, gs://, azblob:// or file:///")
	case u.User != nil:
		return nil, errors.New("must not hold credentials: put them into a Secret and name it in spec.secretRef")
	case u.Opaque != "" || u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("must be of the form scheme://bucket?parameters, with no '#'")
	}
	p := &place{scheme: u.Scheme, bucket: u.Host}
	if p.params, err = parseParameters(u, allowed); err != nil {
		return nil, err
	}
	if err := p.checkClass(); err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		if u.Host != "" || !strings.HasPrefix(raw, "file:///") {
			return nil, errors.New("must be file:///folder, with nothing between the second and the third slash")
		}
		p.path, err = parsePath(strings.TrimPrefix(u.EscapedPath(), "/"))
		return p, err
	}
	if strings.Trim(u.EscapedPath(), "/") != "" {
		return nil, errors.New("must not have a path: put it into spec.objectStore.prefix")
	}
	if !bucketNames[u.Scheme].MatchString(u.Host) {
		return nil, errors.New("must name the bucket or container, in lower case, after the two slashes")
	}
	return p, nil
}

func parseParameters(u *url.URL, allowed []string) (map[string]string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("has parameters that are not well-formed")
	}
	params := map[string]string{}
	for name, given := range query {
		if !slices.Contains(allowed, name) {
			if len(allowed) == 0 {
				return nil, fmt.Errorf("must not have parameters after %s:///folder", u.Scheme)
			}
			return nil, fmt.Errorf("has a parameter that is not allowed: %s takes %s", u.Scheme, strings.Join(allowed, ", "))
		}
		if len(given) != 1 {
			return nil, fmt.Errorf("gives %s more than once", name)
		}
		if pattern := values[name]; pattern != nil && !pattern.MatchString(given[0]) {
			return nil, fmt.Errorf("has a value of %s that is not valid", name)
		}
		params[name] = given[0]
	}
	if endpoint, ok := params["endpoint"]; ok {
		e, err := url.Parse(endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
			return nil, errors.New("has an endpoint that is not of the form https://host:port")
		}
	}
	return params, nil
}

// segmentPattern leaves out '=' so that nobody can pretend to be a partition of
// another's hive path, and '%' so that nothing is hidden by encoding it.
var segmentPattern = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._+@-]*$`)

// parsePath splits a relative path into its folders.
func parsePath(path string) ([]string, error) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil, nil
	}
	segments := strings.Split(path, "/")
	for _, segment := range segments {
		if !segmentPattern.MatchString(segment) {
			return nil, errors.New("must have folders of letters, digits and . _ - + @ that do not start with a dot")
		}
	}
	return segments, nil
}

// parsePrefix returns the prefix, with a slash at its end unless it is empty.
func parsePrefix(prefix string) (string, error) {
	segments, err := parsePath(prefix)
	if err != nil {
		return "", fmt.Errorf("spec.objectStore.prefix: %w", err)
	}
	if len(segments) == 0 {
		return "", nil
	}
	return strings.Join(segments, "/") + "/", nil
}

// open opens the bucket. Errors that need another URL or Secret are permanent.
func (p *place) open(ctx context.Context, secret map[string][]byte, options Options) (bucket, error) {
	switch p.scheme {
	case "file":
		return openFolder(p.path, options)
	case "s3":
		return openS3(ctx, p, secret, options)
	case "gs":
		return openGCS(ctx, p, secret, options)
	default:
		return openAzure(ctx, p, secret, options)
	}
}
