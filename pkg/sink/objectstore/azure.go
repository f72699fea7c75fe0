package objectstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azureblobs "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"kollect.io/kollect/pkg/sink"
)

const azureNeeds = "connectionString, or accountName with accountKey or sasToken (or AZURE_STORAGE_CONNECTION_STRING, _ACCOUNT, _KEY, _SAS_TOKEN)"

func openAzure(ctx context.Context, p *place, secret map[string][]byte, options Options) (bucket, error) {
	client, err := azureClient(p, secret, options)
	if err != nil {
		return nil, err
	}
	b, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, fmt.Errorf("open container: %w", err)
	}
	return &blobs{
		bucket: b,
		class:  azureClass(p.params["storage_class"]),
		root:   azureRoot(client.URL(), p.bucket),
		hint:   "to read, list, create, write and delete (role Storage Blob Data Contributor)",
		version: func(r *blob.Reader) string {
			var out azureblobs.DownloadStreamResponse
			if !r.As(&out) || out.ETag == nil {
				return ""
			}
			return string(*out.ETag)
		},
		ifVersion: func(as func(any) bool, version string) error {
			var upload *azblob.UploadStreamOptions
			if !as(&upload) {
				return errors.New("the driver takes no conditions")
			}
			etag := azcore.ETag(version)
			upload.AccessConditions = &azblob.AccessConditions{
				ModifiedAccessConditions: &azureblobs.ModifiedAccessConditions{IfMatch: &etag},
			}
			return nil
		},
	}, nil
}

func azureClient(p *place, secret map[string][]byte, options Options) (*container.Client, error) {
	httpClient := *cmp.Or(options.Client, http.DefaultClient)
	httpClient.Transport = retried{cmp.Or(httpClient.Transport, http.DefaultTransport)}
	clientOptions := &container.ClientOptions{}
	clientOptions.Transport = &httpClient
	if connection := lookUp(secret, "connectionString", "AZURE_STORAGE_CONNECTION_STRING"); connection != "" {
		client, err := container.NewClientFromConnectionString(connection, p.bucket, clientOptions)
		if err != nil {
			return nil, errSecret("a well-formed connectionString")
		}
		return client, nil
	}
	account := p.params["storage_account"]
	if account == "" {
		account = lookUp(secret, "accountName", "AZURE_STORAGE_ACCOUNT")
	}
	if !values["storage_account"].MatchString(account) {
		return nil, sink.Permanent(errors.New("spec.objectStore.url: add the storage account, as in ?storage_account=name, or put accountName into the Secret"))
	}
	address := azureAddress(p, account)
	key := lookUp(secret, "accountKey", "AZURE_STORAGE_KEY")
	token := strings.TrimPrefix(lookUp(secret, "sasToken", "AZURE_STORAGE_SAS_TOKEN"), "?")
	switch {
	case key != "":
		shared, err := container.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errSecret("an accountKey in base64")
		}
		return container.NewClientWithSharedKeyCredential(address, shared, clientOptions)
	case token != "":
		if _, err := url.ParseQuery(token); err != nil {
			return nil, errSecret("a well-formed sasToken")
		}
		return container.NewClientWithNoCredential(address+"?"+token, clientOptions)
	case secret != nil:
		return nil, errSecret(azureNeeds)
	}
	if err := ambient(p, options, azureNeeds); err != nil {
		return nil, err
	}
	own, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("find the server's own Azure credentials: %w", err)
	}
	return container.NewClient(address, own, clientOptions)
}

// azureRoot returns the address below which Hadoop's driver reads the container,
// or an empty string where it does not: on an emulator.
func azureRoot(address, container string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	account, domain, ok := strings.Cut(u.Host, ".blob.")
	if !ok {
		return ""
	}
	return "abfss://" + container + "@" + account + ".dfs." + domain + "/"
}

// azureAddress returns the container's URL.
func azureAddress(p *place, account string) string {
	protocol, domain := p.params["protocol"], p.params["domain"]
	if protocol == "" {
		protocol = "https"
	}
	if domain == "" {
		domain = "blob.core.windows.net"
	}
	if p.params["localemu"] == "true" {
		return protocol + "://" + domain + "/" + account + "/" + p.bucket
	}
	return protocol + "://" + account + "." + domain + "/" + p.bucket
}

// azureClass has data written with the class; empty: the bucket's own.
func azureClass(class string) func(as func(any) bool) error {
	if class == "" {
		return nil
	}
	return func(as func(any) bool) error {
		var in *azblob.UploadStreamOptions
		if !as(&in) {
			return errNoClass
		}
		in.AccessTier = (*azureblobs.AccessTier)(&class)
		return nil
	}
}
