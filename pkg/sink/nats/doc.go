// Package nats is the event emitter on NATS JetStream. Each row has a subject of
// its own in a stream, whose last message is what is known of the row:
//
//	kollect.v1.<cluster>.<namespace>.<inventory>.<Kind>_<group>.<row>
//	kollect.v1.<cluster>.<namespace>.<inventory>._begin, ._end, ._checkpoint
//
// The checkpoint is what the stream says that it holds. All is written on condition
// that the checkpoint is still the one that it follows: that fences. An atomic batch
// has the condition as a whole, and ends with a checkpoint of its own; it is all there
// or not at all. Where there are none, and where they cost more than they give, a
// checkpoint comes first and each message has the condition.
//
// It never changes a stream that it did not create, and reads no row's value back.
//
// Its invariant: what follows a checkpoint of a content, and no other checkpoint,
// is nothing.
package nats
