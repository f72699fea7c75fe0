package inventory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// Events are written without the encoders that a watch has, and are what those
// make of typed objects.
func TestEventsAreWrittenAsTheyWouldBeEncoded(t *testing.T) {
	s := oddStore()
	serializer := NewSerializer(newScheme(t))
	storages := New(s, serializer, nobody, nil)
	served := storages["inventoryrows"].(*store[row])
	config := serveHandler(t, handlerOf(t, storages, WithTables))
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host + "/apis/inventory.kollect.io/v1alpha1/inventoryrows?watch=1&pretty=false&resourceVersion=" + version(s.State().Version))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	cursor := s.Tail()
	var all []*inventory.Row
	for snapshot := range s.State().Snapshots(inventory.Namespaced, "") {
		for e := range snapshot.Entries() {
			all = append(all, e.Row)
		}
	}
	for _, row := range all {
		remove(s, row)
		change(s, row)
		change(s, inventory.NewRow(inventory.RowContent{
			Resource: row.Resource(), Target: ptr(row.Target()), Namespace: row.Namespace(), Name: row.Name(), UID: row.UID(),
			Attributes: []byte(`{"changed":"\u003cyes\u003e"}`),
		}))
	}
	encoder := encoder(t, serializer, runtime.ContentTypeJSON, false)
	lines := bufio.NewReader(response.Body)
	expect := func(what string, r row, slot int, slots *[memoSize]atomic.Pointer[event[row]]) {
		t.Helper()
		var want bytes.Buffer
		event := metav1.WatchEvent{Type: what, Object: runtime.RawExtension{Raw: []byte(encode(t, encoder, r.typed()))}}
		if err := json.NewEncoder(&want).Encode(&event); err != nil {
			t.Fatal(err)
		}
		got, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		shared := slots[slot].Load()
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, made := range shared.encodings {
			if _, ok := served.watchJSON[made.key.encoder]; !ok {
				t.Fatalf("the encoder %s is not known", made.key.encoder)
			}
		}
	}
	for isReady(cursor.Ready()) {
		events, _ := cursor.Next()
		for i := range events {
			before, after, was, is := served.kind.change(&events[i])
			slot := int(events[i].Version % memoSize)
			switch {
			case was && is:
				expect("MODIFIED", after, slot, &served.events.current)
			case is:
				expect("ADDED", after, slot, &served.events.current)
			case was:
				expect("DELETED", before, slot, &served.events.deleted)
			}
		}
	}
}
