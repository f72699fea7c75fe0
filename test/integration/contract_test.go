package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// sameQueries get from every resource of Kubernetes the same kind of answer.
var sameQueries = []string{
	"", "unknown=1", "pretty=true", "a;b", "%zz=%zz",
	"labelSelector=(", "labelSelector=a%20in%20(", "labelSelector=%21%21a", "labelSelector=a%3E1", "labelSelector=a%3Ex", "labelSelector=%00", "labelSelector=a%3Db", "labelSelector=-a%3Db", "labelSelector=" + strings.Repeat("a", 64), "labelSelector=" + strings.Repeat("a%2C", 3000) + "a",
	"fieldSelector=(", "fieldSelector=metadata.name", "fieldSelector=spec.none%3Dx", "fieldSelector=metadata.name%21%3Dx", "fieldSelector=metadata.name%3Dx", "fieldSelector=metadata.name%3D%5C", "fieldSelector=metadata.namespace%3Dother",
	"limit=x", "limit=-1", "limit=0", "limit=1", "limit=9223372036854775807", "limit=9223372036854775808", "limit=1e3",
	"continue=x", "continue=e30", "continue=AAAA", "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4ifQ", "limit=1&continue=x&resourceVersion=5",
	"resourceVersion=x", "resourceVersion=-1", "resourceVersion=0", "resourceVersion=01", "resourceVersion=1.5", "resourceVersion=9000000000000000000", "resourceVersion=18446744073709551616", "resourceVersion=0&limit=1",
	"resourceVersionMatch=Exact", "resourceVersionMatch=x", "resourceVersion=1&resourceVersionMatch=x", "resourceVersion=0&resourceVersionMatch=Exact", "resourceVersion=0&resourceVersionMatch=NotOlderThan", "resourceVersion=1&resourceVersionMatch=Exact&continue=x", "resourceVersion=9000000000000000000&resourceVersionMatch=Exact",
	"sendInitialEvents=true", "sendInitialEvents=false", "sendInitialEvents=x", "allowWatchBookmarks=x", "allowWatchBookmarks=true", "timeoutSeconds=x", "timeoutSeconds=-1", "timeoutSeconds=99999999999999999999", "timeout=x", "timeout=-1s", "timeout=1h",
	"watch=maybe", "watch=false", "watch=0", "watch=1&resourceVersion=x", "watch=1&resourceVersion=0&limit=-5", "watch=1&continue=x", "watch=1&resourceVersion=-1", "watch=1&resourceVersion=9000000000000000000", "watch=1&labelSelector=(", "watch=1&fieldSelector=spec.none%3Dx",
	"watch=1", "watch=1&timeoutSeconds=1", "watch=1&timeoutSeconds=x", "watch=1&resourceVersionMatch=Exact", "watch=1&resourceVersion=0&resourceVersionMatch=NotOlderThan", "watch=1&sendInitialEvents=true", "watch=1&sendInitialEvents=x",
	"watch=1&sendInitialEvents=true&resourceVersionMatch=Exact", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
	"watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=x", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=9000000000000000000",
	"includeObject=x", "shardSelector=x",
}

var sameAccepts = []string{
	"", "*/*", "application/*", "application/json", "application/yaml", "image/png", "text/html", ",", ";", "q=1", "application/json;q=0",
	"application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=meta.k8s.io", "application/json;as=Table;v=v1;g=x", "application/json;as=Table", "application/json;as=x;v=v1;g=meta.k8s.io",
	"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;stream=watch", "application/json;as=Table;v=v1;g=meta.k8s.io, application/json",
	"image/png, application/json", "application/vnd.kubernetes.protobuf, application/json",
}

// otherOutcomes are those of kube-apiserver that say that a client's fault is
// its own: a malformed resourceVersion of a watch, or of one object.
var otherOutcomes = map[string]string{"500 application/json 500 ": "400 application/json 400 BadRequest"}

// contract sends wrong and right requests to the ConfigMaps of kube-apiserver, to rows and to accessible rows, and wants the same answers.
func (s *served) contract(t *testing.T) {
	const theirs = "/api/v1/namespaces/team-b/configmaps"
	resources := []string{"namespaces/team-b/inventoryrows", "namespaces/shop/accessiblerows"}
	s.cp.MustKubectl(t, "create", "namespace", "team-b")
	s.cp.MustKubectl(t, "create", "configmap", "x", "-n", "team-b")
	client, err := rest.HTTPClientFor(s.cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	same := func(method, suffix, query, accept string) {
		t.Run(fmt.Sprintf("%s %s?%.100s as %s", method, suffix, query, accept), func(t *testing.T) {
			t.Parallel() // some wait for a version
			want := outcome(t, client, method, s.cp.Config().Host+theirs+suffix+"?"+query, accept)
			if other, ok := otherOutcomes[want]; ok {
				want = other
			}
			if strings.Contains(accept, "protobuf") { // we have none, and answer in what else is accepted
				want = strings.Replace(want, "404 application/vnd.kubernetes.protobuf", "404 application/json 404 NotFound retry false", 1)
				want = strings.Replace(want, "application/vnd.kubernetes.protobuf", "application/json", 1)
			}
			if query == "watch=1&resourceVersion=9000000000000000000" { // kube-apiserver waits in silence
				want = "200 application/json ERROR 504 Timeout ResourceVersionTooLarge  retry true"
			}
			for _, resource := range resources {
				if got := outcome(t, client, method, s.cp.Config().Host+groupPath+"/"+resource+suffix+"?"+query, accept); got != want {
					t.Errorf("%s: got %s, want %s", resource, got, want)
				}
			}
		})
	}
	for _, query := range sameQueries {
		same("GET", "", query, "application/json")
	}
	for _, accept := range sameAccepts {
		same("GET", "", "", accept)
		same("GET", "/none", "", accept)
	}
	for _, query := range []string{"", "resourceVersion=x", "resourceVersion=0", "resourceVersion=9000000000000000000", "watch=1&resourceVersion=x", "timeout=x"} {
		same("GET", "/none", query, "application/json")
	}
	same("GET", "/none/none", "", "application/json")
	same("GET", "/%20", "", "application/json")
	same("HEAD", "/none", "", "application/json")
	same("OPTIONS", "", "", "application/json")
}

// outcome describes an answer: its status, and what it is or what is wrong. Of
// a watch it is what its first event is, unless none comes for a while.
func outcome(t *testing.T, client *http.Client, method, url, accept string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	result := fmt.Sprintf("%d %s", response.StatusCode, kind)
	var body []byte
	if query := request.URL.Query(); response.StatusCode == http.StatusOK && (query.Has("watch") && query.Get("watch") != "0" && query.Get("watch") != "false") {
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		silence := time.AfterFunc(5*time.Second, cancel)
		defer silence.Stop()
		lines.Scan()
		body = lines.Bytes()
	} else if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	var is struct {
		metav1.Status
		Type   string
		Object *metav1.Status
	}
	if json.Unmarshal(body, &is) != nil {
		return result
	}
	status := is.Status
	if is.Object != nil {
		result += " " + is.Type
		status = *is.Object
	}
	if status.Kind != "Status" {
		return result
	}
	result += fmt.Sprintf(" %d %s", status.Code, status.Reason)
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			result += " " + string(cause.Type) + " " + cause.Field
		}
		result += fmt.Sprintf(" retry %t", status.Details.RetryAfterSeconds > 0)
	}
	return result
}

// writes sends every write to every resource, as kubectl does too.
func (s *served) writes(t *testing.T) {
	client, err := rest.HTTPClientFor(s.cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"inventoryrows", "inventories", "clusterinventories", "clusterinventoryrows", "namespaces/team-a/inventoryrows", "namespaces/team-a/inventories", "namespaces/team-a/inventories/apps",
		"namespaces/team-a/inventories/apps/snapshot", "namespaces/team-a/inventories/apps/diff", "namespaces/team-a/inventories/apps/status", "namespaces/team-a/inventories/apps/scale",
		"clusterinventories/platform", "clusterinventories/platform/snapshot", "clusterinventories/platform/diff", "clusterinventoryrows/platform.x", "namespaces/team-a/inventoryrows/apps.x",
		"accessiblerows", "namespaces/shop/accessiblerows", "namespaces/shop/accessiblerows/apps.x",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			want := "405 application/json 405 MethodNotAllowed retry false"
			if strings.HasSuffix(path, "/status") || strings.HasSuffix(path, "/scale") {
				want = "404 application/json 404 NotFound retry false" // as any path that is not there
			}
			if got := outcome(t, client, method, s.cp.Config().Host+groupPath+"/"+path, "application/json"); got != want {
				t.Errorf("%s %s: got %s, want %s", method, path, got, want)
			}
		}
	}
	editor := s.write("editor", []byte("sed -i 's/^metadata:/metadata:\\n  labels: {a: b}/' \"$1\"\n"))
	object := s.cp.MustKubectl(t, "get", "inv", "apps", "-n", "team-a", "-o", "yaml")
	manifest := s.write("inventory.yaml", []byte(regexp.MustCompile("(?m)^  (uid|resourceVersion):.*\n").ReplaceAllString(object, "")))
	short := s.write("short.yaml", []byte("apiVersion: inventory.kollect.io/v1alpha1\nkind: Inventory\nmetadata: {name: short, namespace: team-a}\n"))
	for _, args := range []string{"create -f " + short, "create -f " + manifest, "apply -f " + manifest, "apply --server-side -f " + manifest, "replace -f " + manifest, "delete inv apps -n team-a", "delete inv --all -n team-a",
		"label inv apps -n team-a a=b", "annotate inv apps -n team-a a=b", "patch inv apps -n team-a --type=merge -p {\"a\":1}", "edit inv apps -n team-a",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := s.cp.KubectlCommand(ctx, strings.Fields(args)...)
		cmd.Env = append(cmd.Env, "KUBE_EDITOR=sh "+editor)
		out, err := cmd.CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), "the server does not allow this method on the requested resource") {
			t.Errorf("kubectl %s: got %s, %v", args, out, err)
		}
	}
}

// openings are what connections begin with, of which most never become a request.
var openings = []struct {
	name      string
	protocols []string // nil: without TLS
	text      string
}{
	{"nothing", nil, ""},
	{"no TLS", nil, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	{"half a handshake", nil, "\x16\x03\x01\x02\x00\x01"},
	{"no request", []string{"http/1.1"}, ""},
	{"no HTTP", []string{"http/1.1"}, "hello\r\n\r\n"},
	{"another HTTP", []string{"http/1.1"}, "GET / HTTP/9.9\r\nHost: x\r\n\r\n"},
	{"no host", []string{"http/1.1"}, "GET / HTTP/1.1\r\n\r\n"},
	{"half a header", []string{"http/1.1"}, "GET / HTTP/1.1\r\nHost: x\r\nAccept: "},
	{"too long a header", []string{"http/1.1"}, "GET / HTTP/1.1\r\nHost: x\r\nAccept: " + strings.Repeat("a", 2<<20) + "\r\n\r\n"},
	{"half a body", []string{"http/1.1"}, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf"},
	{"no preface", []string{"h2"}, ""},
	{"half a preface", []string{"h2"}, "PRI * HTTP/2.0\r\n"},
	{"no frames", []string{"h2"}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nhello, hello, hello"},
}

// open begins connections to kube-apiserver and to the server. The function that
// it returns wants the same end of both, which comes while others are served.
func (s *served) open(t *testing.T) (wait func()) {
	var connections sync.WaitGroup
	ends := make([][2]string, len(openings))
	for i, opening := range openings {
		for j, host := range []string{s.cp.Config().Host, s.host} {
			connections.Go(func() { ends[i][j] = endOf(t, strings.TrimPrefix(host, "https://"), opening.protocols, opening.text) })
		}
	}
	return func() {
		connections.Wait()
		for i, end := range ends {
			if want, got := end[0], end[1]; got != want {
				t.Errorf("%s: got %s, want %s", openings[i].name, got, want)
			}
		}
	}
}

// endOf says what comes of a connection: what its first line is, or which frames
// it has, and whether it is closed in time.
func endOf(t *testing.T, address string, protocols []string, text string) string {
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err.Error()
	}
	if protocols != nil {
		connection = tls.Client(connection, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	}
	if text == "" && protocols != nil {
		err = connection.(*tls.Conn).HandshakeContext(t.Context())
	} else {
		_, err = io.WriteString(connection, text)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "nobody reads"
	}
	answer, err := io.ReadAll(connection)
	line, _, _ := strings.Cut(string(answer), "\n")
	if slices.Contains(protocols, "h2") {
		line = frames(answer)
	}
	return fmt.Sprintf("%.40q, open for ever: %t", line, errors.Is(err, os.ErrDeadlineExceeded))
}

// frames returns the types of HTTP/2 frames. What is in them is a matter of
// settings, and whether a window is opened before the end one of time.
func frames(data []byte) (types string) {
	const windowUpdate = 8
	for len(data) >= 9 {
		if data[3] != windowUpdate {
			types += fmt.Sprint(data[3], " ")
		}
		data = data[min(len(data), 9+(int(data[0])<<16|int(data[1])<<8|int(data[2]))):]
	}
	return types
}

func TestAnswersAreThoseOfKubernetes(t *testing.T) {
	t.Parallel()
	s := newServed(t)
	s.add(inventory.Ref{Namespace: "team-b", Name: "apps"}, 1)
	s.add(inventory.Ref{Namespace: "team-a", Name: "apps"}, 1)
	s.add(inventory.Ref{Name: "platform"}, 1)
	wait := s.open(t)
	t.Run("reads", s.contract)
	t.Run("writes", s.writes)
	wait()
}
