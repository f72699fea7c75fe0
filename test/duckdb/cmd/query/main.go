// Command query prints what DuckDB answers to SQL, each row as a JSON object on a
// line. As with DuckDB's own program, -init names a file of SQL to run first:
//
//	go -C test/duckdb run ./cmd/query -init ../../artifacts/sql/duckdb.sql "SET VARIABLE inventory_root = '/lake';
//	  SET VARIABLE inventory_files = inventory_files(); SELECT count(*) AS n FROM inventory_current"
package main

import (
	"flag"
	"fmt"
	"os"

	"kollect.io/kollect/test/duckdb"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: query [-init FILE] SQL")
		flag.PrintDefaults()
	}
	init := flag.String("init", "", "a `file` of SQL to run first")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*init, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "query:", err)
		os.Exit(1)
	}
}

func run(init, query string) error {
	db, err := duckdb.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	if init != "" {
		sql, err := os.ReadFile(init)
		if err != nil {
			return err
		}
		if _, err := db.Exec(string(sql)); err != nil {
			return fmt.Errorf("%s: %w", init, err)
		}
	}
	return duckdb.Print(os.Stdout, db, query)
}
