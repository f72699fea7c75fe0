package cloudevent

import _ "embed" // for ValueSchema

// ValueSchema is the JSON Schema of the data of all events. Members may be added to
// what it describes, and are then optional, so that newer schemas are compatible
// with older data.
//
//go:embed value.schema.json
var ValueSchema string
