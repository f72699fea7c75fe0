// Package duckdb checks that DuckDB reads what the object store sink writes: as
// the SQL of the documentation and of artifacts/sql does, from folders and from a
// server that speaks S3, and with the types that they promise. It never writes.
package duckdb
