package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Ways to what is current below a folder: by the pointers of inventories, and by the
// lists of clusters.
var ways = map[string]string{
	"_latest.json": `SELECT cluster, coalesce(namespace, ''), name, generation, "rows", data
		FROM read_json('%s/inventory/*/*/*/_latest.json', columns = {cluster: 'VARCHAR', namespace: 'VARCHAR', name: 'VARCHAR', generation: 'BIGINT', rows: 'BIGINT', data: 'VARCHAR'})
		WHERE data IS NOT NULL`,
	"_inventories.json": `SELECT cluster, coalesce(i.namespace, ''), i.name, i.generation, i."rows", i.data
		FROM (SELECT cluster, unnest(inventories) AS i FROM read_json('%s/current/*/_inventories.json', columns = {cluster: 'VARCHAR',
			inventories: 'STRUCT(namespace VARCHAR, "name" VARCHAR, generation BIGINT, "rows" BIGINT, "data" VARCHAR)[]'}))
		WHERE i.data IS NOT NULL`,
}

// found is what a reader finds of an inventory by one way.
type found struct {
	way, cluster, namespace, name string
	generation, rows              int64
	data                          string
}

func (f found) inventory() [4]string { return [4]string{f.way, f.cluster, f.namespace, f.name} }

// Follow reads all rows of what is current below the folder again and again, with a pause
// between, until the context ends, and returns how often it did. It is an error if a
// snapshot is torn, or older than the one before by the same way, or one of many rows is
// followed by none. seen, unless it is nil, is told the lowest generation of each read.
func Follow(ctx context.Context, db *sql.DB, root string, pause time.Duration, seen func(generation int64)) (reads int, err error) {
	last := map[[4]string]found{}
	for ; ; reads++ {
		now, err := read(ctx, db, root)
		if ctx.Err() != nil {
			return reads, nil
		}
		if err != nil {
			return reads, err
		}
		lowest := int64(1 << 62)
		for _, f := range now {
			lowest = min(lowest, f.generation)
			if before := last[f.inventory()]; f.generation < before.generation || before.rows > 20 && f.rows == 0 {
				return reads, fmt.Errorf("%v follows %v", f, before)
			}
			last[f.inventory()] = f
		}
		if len(now) != len(last) {
			return reads, fmt.Errorf("of %d inventories %v is there", len(last), now)
		}
		if seen != nil {
			seen(lowest)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// read finds what is current, and reads it.
func read(ctx context.Context, db *sql.DB, root string) (all []found, err error) {
	for way, query := range ways {
		rows, err := db.QueryContext(ctx, fmt.Sprintf(query, root))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", way, err)
		}
		for rows.Next() {
			f := found{way: way}
			if err := rows.Scan(&f.cluster, &f.namespace, &f.name, &f.generation, &f.rows, &f.data); err != nil {
				rows.Close()
				return nil, fmt.Errorf("read %s: %w", way, err)
			}
			all = append(all, f)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", way, err)
		}
	}
	for _, f := range all {
		var rows, keys, first, last int64
		err := db.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*), count(DISTINCT row_key), coalesce(min(generation), %[2]d), coalesce(max(generation), %[2]d)
			FROM read_parquet('%[1]s', hive_partitioning = false)`, root+"/"+f.data, f.generation)).Scan(&rows, &keys, &first, &last)
		if err != nil {
			return nil, fmt.Errorf("read %v: %w", f, err)
		}
		if rows != f.rows || keys != rows || first != f.generation || last != f.generation {
			return nil, fmt.Errorf("%v has %d rows of %d keys and generations %d to %d", f, rows, keys, first, last)
		}
	}
	return all, nil
}
