// Command http-receiver takes what sinks of type http send, and keeps the newest
// snapshot of each inventory in memory. It shows what a receiver has to verify: who sent a
// request, that nothing was changed on the way, and that a generation only rises.
//
//	openssl rand -hex 32 > hmac-key
//	http-receiver -listen :8443 -hmac-key hmac-key -cert tls.crt -key tls.key
//
// GET with the headers Kollect-Cluster, Kollect-Namespace and Kollect-Inventory, signed
// as all requests are, returns what is held. After a restart nothing is; the sinks are
// told so, and send all snapshots once more.
package main

import (
	"bytes"
	"flag"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", ":8443", "address to listen at")
	keyFile := flag.String("hmac-key", "hmac-key", "file with the key that the sink's Secret has as hmac-key")
	cert := flag.String("cert", "tls.crt", "file with the server's certificate")
	key := flag.String("key", "tls.key", "file with the certificate's key")
	flag.Parse()
	hmacKey, err := os.ReadFile(*keyFile)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second, Handler: logged(newReceiver(bytes.TrimSpace(hmacKey)))}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

// logged tells of each request what it was about, and the status of its answer.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		answer := &answer{w, http.StatusOK}
		next.ServeHTTP(answer, q)
		about := ""
		if generation := q.Header.Get("Kollect-Generation"); generation != "" {
			about = " generation " + generation + ", " + q.Header.Get("Kollect-Rows") + " rows"
		}
		log.Printf("%s %q%s: %d", q.Method, q.URL.EscapedPath(), about, answer.status)
	})
}

// answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func newReceiver(key []byte) *receiver {
	return &receiver{key: key, now: time.Now, held: map[string]*snapshot{}}
}
