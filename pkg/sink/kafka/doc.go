// Package kafka is the event emitter on Apache Kafka, and on what speaks its
// protocol. Each row has a key of its own in a compacted topic:
//
//	<cluster>/<namespace>/<inventory>/<row>
//	<cluster>/<namespace>/<inventory>/_begin, /_end, /_checkpoint
//
// All records of an inventory are in one partition, in order, and are written in
// transactions, each of which ends with a checkpoint: what the topic holds of the
// inventory from there on. An inventory has one transactional ID. Whoever begins to
// write takes it, which aborts what another has begun and fences it, and then looks
// whether the checkpoint is still the one that it follows. From then on it knows the
// checkpoint without looking, for as long as the broker takes its epoch and the topic is the same.
//
// The newest checkpoint is searched for from the end of the partition backwards, so
// that it costs what came since it was confirmed, and not what the topic holds. What
// lies past the last stable offset, where another inventory's transaction is open, is
// judged by the markers of transactions there: nobody waits for somebody else.
//
// Without the right to the transactional ID nothing is written: Kafka has no other
// way to refuse a writer that was overtaken.
//
// It never changes a topic that it did not create, and joins no consumer group.
//
// Its invariant: of an inventory no two writers' transactions are committed after the
// same checkpoint.
package kafka
