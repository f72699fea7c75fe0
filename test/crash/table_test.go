package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"kollect.io/kollect/test/services/postgres"
)

// table is a PostgreSQL server, read by psql.
type table struct{ server *postgres.Server }

var _ crasher = (*table)(nil)

func startTable(ctx context.Context) (*table, error) {
	server, err := postgres.Start(ctx)
	return &table{server}, err
}

func (*table) name() string { return "table" }
func (t *table) end() error { return t.server.Stop() }

func (t *table) sink(string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: dsn}
stringData: {dsn: %q}
---
apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: table}
spec: {type: postgres, postgres: {schema: inventory, table: rows}, secretRef: {name: dsn}}
`, t.server.DSN("postgres"))
}

func (*table) slow() bool { return false }

func (t *table) kill() error {
	t.server.Kill()
	return nil
}

func (t *table) up(ctx context.Context) error { return t.server.Up(ctx) }

const queryRows = `select json_build_object(
  'generation', generation, 'hash', content_hash, 'count', row_count, 'confirmed', confirmed_at,
  'rows', (select json_object_agg(row_key, json_build_object('generation', generation,
    'target', target_name, 'kind', kind, 'namespace', resource_namespace, 'name', resource_name, 'uid', uid,
    'labels', labels, 'attributes', attributes))
    from inventory.inventory_current r
    where r.cluster = s.cluster and r.inventory_namespace = s.inventory_namespace and r.inventory_name = s.inventory_name))
from inventory.rows_state s
where cluster = '%s' and inventory_namespace = '%s' and inventory_name = '%s'`

func (t *table) read(ctx context.Context, namespace, inventory string) (content, error) {
	out, err := t.server.Psql(ctx, "postgres", fmt.Sprintf(queryRows, clusterName, namespace, inventory))
	if err != nil {
		return content{}, err
	}
	var found struct {
		Generation int64
		Hash       string
		Count      int
		Confirmed  time.Time
		Rows       map[string]struct {
			row
			Generation int64
		}
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return content{}, fmt.Errorf("%w: %q", err, out)
	}
	c := content{Generation: found.Generation, Hash: found.Hash, Confirmed: found.Confirmed, Rows: map[string]row{}}
	for key, r := range found.Rows {
		if r.Generation > c.Generation {
			return c, brokenf("row %s is of generation %d, the inventory of %d", key, r.Generation, c.Generation)
		}
		c.Rows[key] = r.row
	}
	if found.Count != len(c.Rows) {
		return c, brokenf("%d rows, of which it says that they are %d", len(c.Rows), found.Count)
	}
	return c, nil
}
