package objectstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

const password = "hunter2hunter2"

var s3Secret = map[string][]byte{"accessKeyID": []byte("AKIDEXAMPLE"), "secretAccessKey": []byte(password)}

// Each is refused before anything is contacted, with the field and without what
// may be secret.
func TestOpenRefuses(t *testing.T) {
	type secret = map[string][]byte
	for name, tc := range map[string]struct {
		spec   kollectv1alpha1.ObjectStoreSink
		secret secret
		want   string
	}{
		"no URL":                    {spec: kollectv1alpha1.ObjectStoreSink{}, want: "spec.objectStore.url: must start with"},
		"another scheme":            {spec: kollectv1alpha1.ObjectStoreSink{URL: "http://bucket"}, want: "must start with"},
		"memory":                    {spec: kollectv1alpha1.ObjectStoreSink{URL: "mem://"}, want: "must start with"},
		"not a URL":                 {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://" + password + "@%zz"}, want: "must be a URL"},
		"credentials in the URL":    {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://user:" + password + "@bucket"}, want: "must not hold credentials"},
		"no bucket":                 {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://?region=eu-central-1"}, want: "must name the bucket"},
		"a bucket with a port":      {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket:80"}, want: "must name the bucket"},
		"a path after the bucket":   {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket/folder"}, want: "spec.objectStore.prefix"},
		"a fragment":                {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket#" + password}, want: "no '#'"},
		"a profile":                 {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?profile=admin"}, want: "not allowed"},
		"a role":                    {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?role=arn:aws:iam::1:role/admin"}, want: "not allowed"},
		"a secret in the query":     {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?" + password + "=" + password}, want: "not allowed"},
		"a parameter twice":         {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=a&region=b"}, want: "region more than once"},
		"a region that is a host":   {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=evil.example/%23"}, want: "value of region"},
		"an endpoint with a secret": {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?endpoint=https://u:" + password + "@host"}, want: "endpoint"},
		"an endpoint of files":      {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?endpoint=file:///etc"}, want: "endpoint"},
		"a private key's path":      {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket?private_key_path=/etc/shadow"}, want: "not allowed"},
		"a domain with a path":      {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container?domain=a/b"}, want: "value of domain"},
		"an S3 archive":             {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=eu-central-1&storage_class=GLACIER"}, want: "read at once"},
		"an Azure archive":          {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container?storage_class=Archive"}, want: "read at once"},
		"another cloud's class":     {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket?storage_class=STANDARD_IA"}, want: "such as NEARLINE"},
		"a class in small letters":  {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?storage_class=standard_ia"}, want: "such as STANDARD_IA"},
		"a class of files":          {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake?storage_class=STANDARD"}, want: "must not have parameters"},
		"file metadata":             {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake?metadata=skip"}, want: "must not have parameters"},
		"a file signer":             {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake?base_url=/x&secret_key_path=/etc/shadow"}, want: "must not have parameters"},
		"a file on a host":          {spec: kollectv1alpha1.ObjectStoreSink{URL: "file://localhost/lake"}, want: "must be file:///folder"},
		"a relative file":           {spec: kollectv1alpha1.ObjectStoreSink{URL: "file://./lake"}, want: "must be file:///folder"},
		"an opaque file":            {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:lake"}, want: "of the form"},
		"a file above":              {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake/../../etc"}, want: "must have folders"},
		"a file above, encoded":     {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake/%2e%2e/%2e%2e/etc"}, want: "must have folders"},
		"a slash, encoded":          {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake%2f..%2fetc"}, want: "must have folders"},
		"a nul":                     {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake%00"}, want: "must have folders"},
		"a backslash":               {spec: kollectv1alpha1.ObjectStoreSink{URL: `file:///lake\..\etc`}, want: "spec.objectStore.url"},
		"an empty folder":           {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:////etc"}, want: "must have folders"},
		"a folder like a partition": {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///inventory/cluster=prod"}, want: "must have folders"},
		"a prefix above":            {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake", Prefix: "a/../.."}, want: "spec.objectStore.prefix"},
		"an absolute prefix":        {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake", Prefix: "/a"}, want: "spec.objectStore.prefix"},
		"a prefix like a partition": {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake", Prefix: "inventory/cluster=prod/"}, want: "spec.objectStore.prefix"},
		"another format":            {spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///lake", Format: "csv"}, want: "spec.objectStore.format"},
		"no Secret for S3":          {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=eu-central-1"}, want: "spec.secretRef: must name a Secret with accessKeyID"},
		"no Secret for GCS":         {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket"}, want: "spec.secretRef: must name a Secret with serviceAccount"},
		"no Secret for Azure":       {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container?storage_account=lake"}, want: "spec.secretRef: must name a Secret with connectionString"},
		"half a Secret":             {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=eu-central-1"}, secret: secret{"secretAccessKey": []byte(password)}, want: "spec.secretRef: the Secret must have accessKeyID"},
		"an empty Secret":           {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket"}, secret: secret{}, want: "spec.secretRef: the Secret must have serviceAccount"},
		"an empty Secret for S3":    {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket?region=eu-central-1"}, secret: secret{}, want: "spec.secretRef: the Secret must have accessKeyID"},
		"an empty Secret for Azure": {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container?storage_account=lake"}, secret: secret{}, want: "spec.secretRef: the Secret must have connectionString"},
		"no region":                 {spec: kollectv1alpha1.ObjectStoreSink{URL: "s3://bucket"}, secret: s3Secret, want: "?region="},
		"no account":                {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container"}, secret: secret{"accountKey": []byte(password)}, want: "storage_account"},
		"an account key":            {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container?storage_account=lake"}, secret: secret{"accountKey": []byte("not base64 " + password)}, want: "accountKey in base64"},
		"a connection string":       {spec: kollectv1alpha1.ObjectStoreSink{URL: "azblob://container"}, secret: secret{"connectionString": []byte("AccountKey=" + password)}, want: "connectionString"},
		"a key that is not JSON":    {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket"}, secret: secret{"serviceAccount": []byte(password)}, want: "service account"},
		"credentials that run a program": {spec: kollectv1alpha1.ObjectStoreSink{URL: "gs://bucket"}, secret: secret{"serviceAccount": []byte(`{"type":"external_account",
			"credential_source":{"executable":{"command":"/bin/sh"}},"x":"` + password + `"}`)}, want: "service account"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := Open(t.Context(), tc.spec, tc.secret, Options{FileRoot: t.TempDir(), AmbientCredentials: tc.secret != nil})
			if err == nil {
				store.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "spec.") || !sink.IsPermanent(err) {
				t.Errorf("error is %q (permanent: %t), want a permanent one with %q", err, sink.IsPermanent(err), tc.want)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error tells a secret: %s", err)
			}
		})
	}
}

func TestOpenAccepts(t *testing.T) {
	azureKey := map[string][]byte{"accountName": []byte("lake"), "accountKey": []byte("c2VjcmV0c2VjcmV0")}
	for name, tc := range map[string]struct {
		url    string
		secret map[string][]byte
	}{
		"the root":           {url: "file:///"},
		"a folder":           {url: "file:///a/b/"},
		"S3":                 {url: "s3://bucket?region=eu-central-1", secret: s3Secret},
		"S3, region in it":   {url: "s3://bucket", secret: map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("A"), "AWS_SECRET_ACCESS_KEY": []byte("B"), "AWS_REGION": []byte("eu-central-1")}},
		"S3 compatible":      {url: "s3://bucket?endpoint=http://minio.lake:9000&use_path_style=true", secret: s3Secret},
		"S3 encrypted":       {url: "s3://bucket?region=eu-central-1&ssetype=aws:kms&kmskeyid=alias/lake", secret: s3Secret},
		"GCS, anonymous":     {url: "gs://bucket?anonymous=true&endpoint=http://gcs.lake"},
		"Azure, key":         {url: "azblob://container", secret: azureKey},
		"Azure, key, domain": {url: "azblob://container?domain=blob.core.chinacloudapi.cn", secret: azureKey},
		"Azure, token":       {url: "azblob://container?storage_account=lake", secret: map[string][]byte{"sasToken": []byte("?sv=1&sig=" + password)}},
		"Azure, all in one":  {url: "azblob://container", secret: map[string][]byte{"connectionString": []byte("DefaultEndpointsProtocol=https;AccountName=lake;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net")}},
		"Azure, emulated":    {url: "azblob://container?domain=localhost:10000&protocol=http&localemu=true", secret: azureKey},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: tc.url, Prefix: "some/where"}, tc.secret, Options{FileRoot: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server's own identity never goes to a server that a URL names.
func TestAmbientCredentialsStayWithTheirCloud(t *testing.T) {
	for _, url := range []string{
		"s3://bucket?region=eu-central-1&endpoint=https://evil.example",
		"gs://bucket?endpoint=https://evil.example",
		"azblob://container?storage_account=lake&domain=evil.example",
		"azblob://container?storage_account=lake&protocol=http",
	} {
		_, err := Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: url}, nil, Options{AmbientCredentials: true})
		if err == nil || !strings.Contains(err.Error(), "spec.secretRef: must name a Secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestFileNeedsARoot(t *testing.T) {
	_, err := Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: "file:///lake"}, nil, Options{})
	if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "--sink-file-root") {
		t.Errorf("error is %v", err)
	}
}

// Links in the folder, by whomever, lead nowhere outside of it.
func TestFileStaysBelowItsRoot(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	for link, to := range map[string]string{"absolute": outside, "relative": "../" + filepath.Base(outside)} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range []string{"file:///absolute", "file:///absolute/sub", "file:///relative", "file:///relative/sub/sub"} {
		store, err := Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: url}, nil, Options{FileRoot: root})
		if err == nil {
			store.Close()
			t.Errorf("%s: opened", url)
		} else if !sink.IsPermanent(err) || strings.Contains(err.Error(), outside) || strings.Contains(err.Error(), root) {
			t.Errorf("%s: error is %q (permanent: %t), want a permanent one that tells no path of the server", url, err, sink.IsPermanent(err))
		}
	}
	d := &destination{spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///"}, root: root, wrap: func(b bucket) bucket { return b }}
	if err := os.Symlink(outside, filepath.Join(root, "inventory")); err != nil {
		t.Fatal(err)
	}
	if _, err := export(t, d.Open(t), 1); err == nil {
		t.Error("exported through a link")
	}
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 0 {
		t.Errorf("%d files outside of the root, %v", len(left), err)
	}
}
