package objectstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"
)

const gcsNeeds = "serviceAccount (or GOOGLE_APPLICATION_CREDENTIALS_JSON), the JSON key of a service account"

const gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

func openGCS(ctx context.Context, p *place, secret map[string][]byte, options Options) (bucket, error) {
	client, err := gcsClient(ctx, p, secret, options)
	if err != nil {
		return nil, err
	}
	client.Transport = retried{client.Transport}
	var clientOptions []option.ClientOption
	if endpoint := p.params["endpoint"]; endpoint != "" {
		clientOptions = append(clientOptions, option.WithEndpoint(endpoint+"/storage/v1/"), storage.WithJSONReads())
	}
	b, err := gcsblob.OpenBucket(ctx, client, p.bucket, &gcsblob.Options{ClientOptions: clientOptions})
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return &blobs{
		bucket: b,
		class:  gcsClass(p.params["storage_class"]),
		root:   "gs://" + p.bucket + "/",
		hint:   "storage.objects.get, list, create and delete (role Storage Object User)",
		version: func(r *blob.Reader) string {
			var out *storage.Reader
			if !r.As(&out) || out.Attrs.Generation == 0 {
				return ""
			}
			return strconv.FormatInt(out.Attrs.Generation, 10)
		},
		ifVersion: func(as func(any) bool, version string) error {
			generation, err := strconv.ParseInt(version, 10, 64)
			if err != nil {
				return err
			}
			var handle **storage.ObjectHandle
			if !as(&handle) {
				return errors.New("the driver takes no conditions")
			}
			*handle = (*handle).If(storage.Conditions{GenerationMatch: generation})
			return nil
		},
	}, nil
}

// gcsClient takes only keys of service accounts from a Secret: other kinds of
// credentials name files, programs or addresses for the server to use.
func gcsClient(ctx context.Context, p *place, secret map[string][]byte, options Options) (*gcp.HTTPClient, error) {
	transport := gcp.DefaultTransport()
	if options.Client != nil && options.Client.Transport != nil {
		transport = options.Client.Transport
	}
	if p.params["anonymous"] == "true" {
		return gcp.NewAnonymousHTTPClient(transport), nil
	}
	if key := lookUp(secret, "serviceAccount", "GOOGLE_APPLICATION_CREDENTIALS_JSON"); key != "" {
		tokens, err := serviceAccountTokens(ctx, p, key, transport)
		if err != nil {
			return nil, err
		}
		return gcp.NewHTTPClient(transport, tokens)
	}
	if secret != nil {
		return nil, errSecret(gcsNeeds)
	}
	if err := ambient(p, options, gcsNeeds); err != nil {
		return nil, err
	}
	creds, err := gcp.DefaultCredentials(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("find the server's own Google credentials: %w", err)
	}
	return gcp.NewHTTPClient(transport, quietTokens{creds.TokenSource})
}

// gcsClass has data written with the class; empty: the bucket's own.
func gcsClass(class string) func(as func(any) bool) error {
	if class == "" {
		return nil
	}
	return func(as func(any) bool) error {
		var in *storage.Writer
		if !as(&in) {
			return errNoClass
		}
		in.StorageClass = class
		return nil
	}
}
