package clouds_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob/s3blob"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var when = time.Date(2026, 11, 21, 22, 33, 4, 0, time.UTC)

const accessKey, secretKey = "kollect-test", "kollect-test-secret"

var s3Secret = map[string][]byte{"accessKeyID": []byte(accessKey), "secretAccessKey": []byte(secretKey)}

// startVersity starts versitygw on an empty folder and returns its address. It
// keeps ETags in extended attributes: those in its sidecar files do not change
// together with the object, so that conditions on them let older data through.
func startVersity(t *testing.T) string {
	t.Helper()
	path, err := exec.Command("go", "tool", "-n", "versitygw").Output()
	if err != nil {
		t.Fatalf("build versitygw: %v", err)
	}
	address := freeAddress(t)
	var output bytes.Buffer
	dir := t.TempDir()
	cmd := exec.Command(strings.TrimSpace(string(path)), "--port", address, "--quiet", "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+accessKey, "ROOT_SECRET_ACCESS_KEY="+secretKey)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
	})
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("versitygw ended: %v\n%s", err, output.String())
		case <-deadline:
			t.Fatalf("versitygw does not listen: %v", err)
		case <-ticker.C:
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestS3(t *testing.T) {
	address := startVersity(t)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	var buckets atomic.Int32
	make := func(t *testing.T) *destination {
		name := fmt.Sprintf("lake-%d", buckets.Add(1))
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
			t.Fatal(err)
		}
		reader, err := s3blob.OpenBucket(t.Context(), client, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return &destination{name: name, address: address, url: "s3://" + name + "?use_path_style=true&endpoint=http://" + address, secret: s3Secret, reader: reader}
	}
	sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return make(t) })
	t.Run("exports in parts", func(t *testing.T) { testLarge(t, make(t)) })
	t.Run("is shared by clusters", func(t *testing.T) { testFleet(t, make(t)) })
	t.Run("has all encrypted, and data in the storage class", func(t *testing.T) { testEncrypted(t, make(t)) })
	t.Run("says what is denied", func(t *testing.T) { testDenied(t, make(t)) })
	t.Run("outlives a failure midway", func(t *testing.T) {
		testBroken(t, make(t), func(r *http.Request) bool { return r.URL.Query().Has("partNumber") })
	})
	t.Run("says that the clock is wrong", func(t *testing.T) { testSkewed(t, make(t)) })
	t.Run("takes the identity of its Pod", func(t *testing.T) { testWebIdentity(t, make(t)) })
	t.Run("takes the keys of its environment", func(t *testing.T) { testEnvironment(t, make(t)) })
	t.Run("needs the bucket", func(t *testing.T) {
		testNoBucket(t, &destination{url: "s3://not-there?use_path_style=true&endpoint=http://" + address, secret: s3Secret})
	})
	t.Run("needs the right key", func(t *testing.T) {
		d := make(t)
		d.secret = map[string][]byte{"accessKeyID": []byte(accessKey), "secretAccessKey": []byte("another-secret")}
		store := d.Open(t)
		defer store.Close()
		_, err := store.Mark(t.Context(), sinktest.NewSample(inventory.Ref{Name: "platform"}).Snapshot().Inventory())
		if err == nil || !sink.IsPermanent(err) || strings.Contains(err.Error(), "another-secret") {
			t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
		}
	})
}
