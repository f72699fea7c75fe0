// Package crash ends servers at random moments, the real kollect-apiserver and
// those of its sinks, while objects change, and compares what every destination
// has then with the rows that the API serves. `make soak` does so for long.
//
// Its invariant: what it compares comes from outside of the servers: from their
// APIs, from psql, a NATS client and a reader of Parquet.
package crash
