package cloudevent

import (
	"fmt"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// Limit is how large a message may be, and what becomes of rows that would take a
// larger one.
type Limit struct {
	Bytes     int
	Oversized kollectv1alpha1.OversizedRows
	// Field is the sink's, such as spec.nats, and Mend what raises the limit.
	Field, Mend string
}

// MayExceed tells most rows, of which nobody needs to know the exact size, from
// others.
func (l Limit) MayExceed(row *inventory.Row) bool {
	return len(row.Attributes())+len(row.Labels()) >= l.Bytes/2 // the rest is names
}

// Fit returns the event of a row, or of a reference to it if the row is oversized
// and that is what becomes of it, or an error that says what would mend it. size
// returns how many bytes an event's message takes.
func (l Limit) Fit(x *Export, sequence int64, key inventory.Key, row *inventory.Row, size func(*Event) int) (*Event, error) {
	e := x.Upserted(sequence, key, row)
	if !l.MayExceed(row) {
		return e, nil
	}
	n, or := size(e), ", or set "+l.Field+".oversizedRows to Reference"
	if n > l.Bytes && l.Oversized == kollectv1alpha1.OversizedReference {
		e, or = x.Referred(sequence, key, row), ""
		n = size(e)
	}
	if n > l.Bytes {
		return nil, fmt.Errorf("%s of target %s takes a message of %d bytes, and the limit is %d: %s, leave large attributes out of the profile%s",
			describe(row), row.Target(), n, l.Bytes, l.Mend, or)
	}
	return e, nil
}

// describe names a row's object.
func describe(row *inventory.Row) string {
	name := row.Name()
	if row.Namespace() != "" {
		name = row.Namespace() + "/" + name
	}
	return row.Resource().Kind + " " + name
}
