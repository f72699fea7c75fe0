// Package cloudevent is the envelope that event emitters share: CloudEvents 1.0
// in binary mode, where the attributes are headers and the value is the row's
// JSON. It knows no protocol, and never reads the clock.
//
// Its invariant: what was put into an event's attributes is read back as it was,
// and no two events have one ID.
package cloudevent
