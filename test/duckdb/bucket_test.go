package duckdb_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/test/services/versity"
)

const (
	bucketName   = "lake"
	bucketPrefix = "prod"
)

// bucket is a lake on a server that speaks S3. Readers reach it through a proxy
// that notes what they ask for.
type bucket struct {
	*lake
	proxy  *proxy
	python string
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	server, err := versity.Start(t.Context(), "../clouds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.MakeBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	b := &bucket{
		lake:   &lake{t: t, root: "s3://" + bucketName + "/" + bucketPrefix, db: openDB(t)},
		proxy:  newProxy(t, server.Address()),
		python: python(t),
	}
	b.store = b.open(kollectv1alpha1.ObjectStoreSink{
		URL: "s3://" + bucketName + "?use_path_style=true&endpoint=http://" + server.Address(), Prefix: bucketPrefix,
	}, map[string][]byte{"accessKeyID": []byte(versity.AccessKey), "secretAccessKey": []byte(versity.SecretKey)})
	b.query(`LOAD '` + extension(t, b.python) + `'`)
	b.query(fmt.Sprintf(`CREATE SECRET (TYPE s3, REGION 'us-east-1', KEY_ID '%s', SECRET '%s', ENDPOINT '%s', URL_STYLE 'path', USE_SSL false)`,
		versity.AccessKey, versity.SecretKey, b.proxy.address()))
	b.ship()
	return b
}

// python returns a Python that has what requirements.txt lists.
func python(t *testing.T) string {
	t.Helper()
	return output(t, exec.CommandContext(t.Context(), "../../hack/python.sh"))
}

// extension returns the file of the extension with which DuckDB reads from S3.
func extension(t *testing.T, python string) string {
	t.Helper()
	return output(t, exec.CommandContext(t.Context(), python, "-c",
		`import glob, duckdb_extension_httpfs as d; print(*glob.glob(d.__path__[0] + "/extensions/*/httpfs.duckdb_extension"))`))
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &errors)
	}
	return strings.TrimSpace(string(out))
}

// proxy passes requests on and notes the objects that are read.
type proxy struct {
	server *httptest.Server

	mu   sync.Mutex
	read map[string]int64 // bytes, by key below the prefix
}

func newProxy(t *testing.T, address string) *proxy {
	p := &proxy{read: map[string]int64{}}
	p.server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			key, ok := strings.CutPrefix(r.Request.URL.Path, "/"+bucketName+"/"+bucketPrefix+"/")
			if ok && r.Request.Method == http.MethodGet && r.StatusCode < 300 {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.read[key] += r.ContentLength
			}
			return nil
		},
	})
	t.Cleanup(p.server.Close)
	return p
}

func (p *proxy) address() string { return strings.TrimPrefix(p.server.URL, "http://") }

// taken returns how many bytes of each data object were read since it was last
// called, and how many other objects were.
func (p *proxy) taken() (data map[string]int64, others int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data = map[string]int64{}
	for key, n := range p.read {
		if path.Ext(key) == ".parquet" {
			data[key] = n
		} else {
			others++
		}
	}
	p.read = map[string]int64{}
	return data, others
}
