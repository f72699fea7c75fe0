package objectstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var exportTime = time.Date(2026, 11, 21, 22, 33, 4, 567_890_123, time.UTC)

// export writes a snapshot of one row and closes the store.
func export(t *testing.T, store sink.SnapshotStore, generation int64) (sink.Mark, error) {
	t.Helper()
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	return store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: exportTime})
}

const folderName = "inventory/cluster=demo/ns=team-a/name=apps"

func TestWhatLiesInTheFolder(t *testing.T) {
	d := inFolder(t, "json")
	if _, err := export(t, d.Open(t), 42); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(d.root, "tenant/lake/some/where", folderName)
	for name, want := range map[string]string{"_latest.json": pointerKind, "_manifests/42.json": manifestKind} {
		data, err := os.ReadFile(filepath.Join(base, name))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if got["kind"] != want || got["generation"] != 42.0 || got["exportedAt"] != "2026-11-21T22:33:04.567Z" || got["data"] != folderName+"/generation=42.json" {
			t.Errorf("%s is %s", name, data)
		}
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != ".lock _latest.json _manifests generation=42.json" {
		t.Errorf("the folder has %s", got)
	}
}

func second[A, B any](_ A, b B) B { return b }

// What a crash left is never written over: the exporter takes the next generation.
func TestLeftoverOfTheSameGeneration(t *testing.T) {
	d := inFolder(t, "json")
	base := filepath.Join(d.root, "tenant/lake/some/where", folderName)
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(base, "generation=5.json")
	if err := os.WriteFile(name, []byte("left"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := export(t, d.Open(t), 5); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("error is %v, want ErrFenced", err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "left" {
		t.Errorf("data is %q, %v", data, err)
	}
	if mark, err := export(t, d.Open(t), 6); err != nil || mark.Generation != 6 {
		t.Errorf("next generation: %v, %v", mark, err)
	}
}

// A full disk is an error that another try may mend, and says what to do.
func TestFullDisk(t *testing.T) {
	err := redactor{}.wrap("write", "key", explain(&os.PathError{Op: "write", Path: "/server/path", Err: syscall.ENOSPC}))
	if sink.IsPermanent(err) || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "--sink-file-root") || strings.Contains(err.Error(), "/server") {
		t.Errorf("error is %v", err)
	}
	err = explain(&os.PathError{Op: "open", Path: "/server/path", Err: syscall.EACCES})
	if !sink.IsPermanent(err) || strings.Contains(err.Error(), "/server") {
		t.Errorf("error is %v", err)
	}
}

// Libraries put URLs, answers of servers and parts of credentials into errors.
func TestErrorsHaveNoSecrets(t *testing.T) {
	const token = "sv=2026&sig=abc%2Bdef%2Fghi%3D"
	secret := map[string][]byte{
		"secretAccessKey":  []byte(password + "\n"),
		"sasToken":         []byte(token),
		"connectionString": []byte("AccountName=lake;AccountKey=Zm9vYmFyYmF6;EndpointSuffix=core.windows.net"),
	}
	r := newRedactor(secret)
	for _, message := range []string{
		"put https://lake.blob.core.windows.net/c/key?" + token + ": timeout",
		`Put "https://lake.blob.core.windows.net/c/key?comp=block&` + token + `": EOF`,
		"signature abc+def/ghi= does not match",
		"signature abc%2Bdef%2Fghi%3D does not match",
		"the key is " + password + " and Zm9vYmFyYmF6",
		"proxy http://user:" + password + "@proxy:3128 refused",
		"proxy http://user:otherword@proxy:3128 refused",
		strings.Repeat("long ", 1000) + password,
	} {
		err := r.wrap("write", "key", sink.Permanent(fmt.Errorf("%w: %s", context.DeadlineExceeded, message)))
		for e := err; e != nil; e = errors.Unwrap(e) {
			for _, word := range []string{password, "abc+def", "abc%2Bdef", "Zm9vYmFyYmF6", "otherword"} {
				if strings.Contains(fmt.Sprintf("%v", e), word) {
					t.Errorf("%q tells %s", e, word)
				}
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || !sink.IsPermanent(err) || len(err.Error()) > 700 {
			t.Errorf("%v: lost what it is", err)
		}
	}
}

// A server that answers with what it was sent, or nothing, tells no secrets.
func TestErrorsOfARealClientHaveNoSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<Error><Code>SignatureDoesNotMatch</Code><Message>%s %s %s</Message></Error>`, password, r.URL, r.Header.Get("Authorization"))
	}))
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	account := map[string][]byte{"accountName": []byte("lake"), "sasToken": []byte("sv=1&sig=" + password)}
	for _, tc := range []struct {
		url       string
		secret    map[string][]byte
		permanent bool
	}{
		{"s3://bucket?use_path_style=true&endpoint=" + server.URL, s3Secret, true},
		{"azblob://container?localemu=true&protocol=http&domain=" + server.Listener.Addr().String(), account, true},
		{"azblob://container?localemu=true&protocol=http&domain=" + closed, account, false},
	} {
		t.Run(tc.url, func(t *testing.T) {
			store, err := Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: tc.url}, tc.secret, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = store.Mark(ctx, sinktest.NewSample(inventory.Ref{Name: "apps"}).Snapshot().Inventory())
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "-----") || sink.IsPermanent(err) != tc.permanent {
				t.Errorf("error is %q (permanent: %t)", err, sink.IsPermanent(err))
			}
		})
	}
}
