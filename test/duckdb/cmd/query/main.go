// Command query prints what DuckDB answers to one SQL query, each row as a JSON
// object on a line:
//
//	go -C test/duckdb run ./cmd/query "SELECT count(*) AS n FROM read_parquet('/lake/inventory/**/*.parquet')"
package main

import (
	"fmt"
	"os"

	"kollect.io/kollect/test/duckdb"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: query SQL")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "query:", err)
		os.Exit(1)
	}
}

func run(query string) error {
	db, err := duckdb.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	return duckdb.Print(os.Stdout, db, query)
}
