package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// event is one of a watch.
type event struct {
	Type   string
	Object json.RawMessage
}

// comeAgain is in an event of a server that does not know in time.
const comeAgain = `"code":503`

// watchUntilSynced reads a watch until it says that all there was is sent. It
// begins again while the server wants that.
func (w *world) watchUntilSynced(ctx context.Context, a *ask) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		if r, err := w.watchOnce(ctx, a); r != nil || err != nil {
			return r, err
		}
		if err := w.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// watchOnce returns nothing if it is to be asked again.
func (w *world) watchOnce(ctx context.Context, a *ask) (*reply, error) {
	response, err := w.open(ctx, a.by, a.as, a.path(""), a.accept())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	r := &reply{status: response.StatusCode}
	decoder := json.NewDecoder(response.Body)
	if r.status != http.StatusOK {
		var status json.RawMessage
		err := decoder.Decode(&status)
		r.text = append(r.text, string(status))
		return r, err
	}
	for {
		var e event
		if err := decoder.Decode(&e); err != nil {
			return nil, fmt.Errorf("watch %s: %w", a.path(""), err)
		}
		r.text = append(r.text, string(e.Object))
		if e.Type == "ERROR" && strings.Contains(string(e.Object), comeAgain) {
			return nil, nil
		}
		i, err := r.parseEvent(a, &e)
		switch {
		case err != nil:
			return nil, err
		case e.Type == "ADDED":
			r.items = append(r.items, i)
		case e.Type == "BOOKMARK" && strings.Contains(string(e.Object), metav1.InitialEventsAnnotationKey):
			return r, nil
		default:
			return nil, fmt.Errorf("watch: got %s %s", e.Type, e.Object)
		}
	}
}

// parseEvent returns the object of an event.
func (r *reply) parseEvent(a *ask, e *event) (*item, error) {
	if a.form != "table" {
		return parseItem(e.Object)
	}
	list, err := r.parseTable(a, e.Object)
	if err != nil || len(list.items) != 1 {
		return nil, fmt.Errorf("%d objects in the table of an event: %w", len(list.items), err)
	}
	return list.items[0], nil
}
