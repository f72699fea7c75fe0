package duckdb

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
)

// Open returns a DuckDB in memory, with its time zone in UTC.
func Open() (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	db.SetMaxOpenConns(1) // settings are a connection's
	if _, err := db.Exec("SET TimeZone = 'UTC'"); err != nil {
		db.Close()
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	return db, nil
}

// Print writes each row that the query returns to w, as a JSON object on a line.
func Print(w io.Writer, db *sql.DB, query string) error {
	rows, err := db.Query(query)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	encoder := json.NewEncoder(w)
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read row: %w", err)
		}
		row := make(map[string]any, len(columns))
		for i, name := range columns {
			row[name] = values[i]
		}
		if err := encoder.Encode(row); err != nil {
			return fmt.Errorf("print row: %w", err)
		}
	}
	return rows.Err()
}
