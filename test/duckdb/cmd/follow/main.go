// Command follow reads what is current below a folder, by DuckDB and without pause or
// with one of that length, until its input ends. It prints how often it did, and fails if
// it ever saw what no reader may:
//
//	follow FOLDER [PAUSE]
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"kollect.io/kollect/test/duckdb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var pause time.Duration
	switch len(args) {
	case 1:
	case 2:
		var err error
		if pause, err = time.ParseDuration(args[1]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("usage: follow FOLDER [PAUSE]")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	db, err := duckdb.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	reads, err := duckdb.Follow(ctx, db, args[0], pause, nil)
	if err != nil {
		return fmt.Errorf("after %d reads: %w", reads, err)
	}
	fmt.Println(reads)
	return nil
}
