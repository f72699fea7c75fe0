// Package duckdb checks that DuckDB reads what the object store sink writes: as
// the SQL of the documentation does, and with the types that it promises. It
// never writes.
package duckdb
