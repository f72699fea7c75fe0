// Package crash ends servers at random moments, the real kollect-apiserver and
// those of its sinks, while objects change, and compares what every destination
// has then with the rows that the API serves. Readers of files, such as git clone and
// DuckDB, go on all the while, and hold what they see to what they saw before. `make
// soak` does so for long.
//
// Its invariant: what it compares comes from outside of the servers: from their
// APIs, from psql, the git program, a NATS client and a reader of Parquet.
package crash
