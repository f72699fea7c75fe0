package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

// column is one of a table's.
type column struct {
	name, kind string
	null       bool
}

// Text that keys are made of is compared by its bytes: that is what the server
// does fastest, and no update of its operating system's languages harms an index.
const identifier = `text collate "C"`

var (
	// placeColumns name an inventory, in both tables.
	placeColumns = []column{
		{name: "cluster", kind: "text"},
		{name: "inventory_namespace", kind: "text"},
		{name: "inventory_name", kind: "text"},
	}
	// exportColumns say which export last changed the row.
	exportColumns = []column{
		{name: "generation", kind: "bigint"},
		{name: "exported_at", kind: "timestamp with time zone"},
	}
	// rowColumns are the row itself, in the order of appendLine.
	rowColumns = []column{
		{name: "row_key", kind: "text"},
		{name: "row_hash", kind: "bytea"},
		{name: "target_namespace", kind: "text"},
		{name: "target_name", kind: "text"},
		{name: "api_group", kind: "text"},
		{name: "api_version", kind: "text"},
		{name: "resource", kind: "text"},
		{name: "kind", kind: "text"},
		{name: "resource_namespace", kind: "text"},
		{name: "resource_name", kind: "text"},
		{name: "uid", kind: "text"},
		{name: "created_at", kind: "timestamp with time zone", null: true},
		{name: "labels", kind: "jsonb"},
		{name: "attributes", kind: "jsonb"},
	}
	deletedColumn = column{name: "deleted_at", kind: "timestamp with time zone", null: true}

	// rowsColumns are all of the table of rows but those for promoted attributes.
	rowsColumns = slices.Concat(placeColumns, rowColumns[:1], exportColumns, rowColumns[1:], []column{deletedColumn})

	stateColumns = []column{
		{name: "generation", kind: "bigint"},
		{name: "content_hash", kind: "text"},
		{name: "schema_version", kind: "text"},
		{name: "row_count", kind: "bigint"},
		{name: "exported_at", kind: "timestamp with time zone"},
		{name: "confirmed_at", kind: "timestamp with time zone"},
	}

	placeKey = names(placeColumns)
	rowKey   = append(names(placeColumns), "row_key")
)

func names(columns []column) []string {
	var all []string
	for _, c := range columns {
		all = append(all, c.name)
	}
	return all
}

// tables are the statements on one sink's tables. $1 to $3 name the inventory;
// in those that change rows, $4 and $5 are the values of exportColumns.
type tables struct {
	schema, rows, state string
	rowsName, stateName string // for people
	staleAfter          time.Duration

	selectMark, selectHeld, selectAny string
	confirm, claim, claimFirst        string
	clear, remove                     string
	orphan, dropped                   string
	forget, selectInventories         string
}

const stateSuffix = "_state"

const copyDelta = "copy pg_temp.kollect_delta from stdin"

var validName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func newTables(spec kollectv1alpha1.PostgresSink) (tables, error) {
	t := tables{schema: spec.Schema, rows: spec.Table, staleAfter: staleAfter}
	if spec.StaleAfter != nil {
		t.staleAfter = spec.StaleAfter.Duration
	}
	if t.schema == "" {
		t.schema = "public"
	}
	if t.rows == "" {
		t.rows = "kollect_rows"
	}
	t.state = t.rows + stateSuffix
	t.rowsName, t.stateName = t.schema+"."+t.rows, t.schema+"."+t.state
	switch {
	case !validName.MatchString(t.schema) || len(t.schema) > maxName:
		return tables{}, errors.New("spec.postgres.schema: must start with a letter or '_' and go on with letters, digits and '_', at most 63")
	case !validName.MatchString(t.rows) || len(t.state) > maxName:
		return tables{}, fmt.Errorf("spec.postgres.table: must start with a letter or '_' and go on with letters, digits and '_', at most %d, so that the name of %s fits too",
			maxName-len(stateSuffix), "<table>"+stateSuffix)
	}
	t.prepare()
	return t, nil
}

func (t *tables) quoted(name string) string { return pgx.Identifier{t.schema, name}.Sanitize() }

const here = " where (cluster, inventory_namespace, inventory_name) = ($1, $2, $3)"

// removed are the keys of rows to delete, by all columns of the primary key, so
// that each is looked up in its index: without statistics, as after a first
// export, the planner would rather read all rows of an inventory.
const removed = "(select $1::text as cluster, $2::text as inventory_namespace, $3::text as inventory_name, row_key " +
	"from pg_temp.kollect_delta where row_hash is null offset 0) d " +
	"where r.cluster = d.cluster and r.inventory_namespace = d.inventory_namespace and r.inventory_name = d.inventory_name and r.row_key = d.row_key"

func (t *tables) prepare() {
	const mark = "generation, content_hash, schema_version, row_count, (extract(epoch from confirmed_at) * 1000000)::bigint"
	rows, state := t.quoted(t.rows), t.quoted(t.state)
	t.selectMark = "select " + mark + " from " + state + here
	t.selectHeld = "select row_key, row_hash, target_namespace, target_name, api_group, kind from " + rows + here + " and deleted_at is null"
	t.selectAny = "select 1 from " + rows + here + " limit 1"
	t.confirm = "update " + state + " set confirmed_at = greatest(confirmed_at, $7::timestamptz)" + here +
		" and (generation, content_hash, schema_version) = ($4::bigint, $5, $6) and content_hash <> '' returning " + mark
	t.claim = "update " + state + " set (generation, content_hash, schema_version, row_count, exported_at, confirmed_at) = " +
		"($5::bigint, $6, $7, $8::bigint, $9::timestamptz, $9::timestamptz)" + here + " and generation = $4::bigint and generation < $5::bigint" +
		" and (schema_version = $10 or row_count = 0)"
	t.claimFirst = "insert into " + state + " (" + list("", placeColumns, stateColumns) + ") " +
		"select $1, $2, $3, $5::bigint, $6, $7, $8::bigint, $9::timestamptz, $9::timestamptz where $4::bigint < $5::bigint on conflict do nothing"
	t.clear = "delete from " + rows + here
	t.prepareForget(rows, state)
	t.remove = "delete from " + rows + " r using " + removed
	t.orphan = "update " + state + " set schema_version = '' where schema_version <> ''"
	t.dropped = t.orphan + " and strpos(schema_version, $1) > 0"
}

// prepareForget makes the statements that forget inventories. What was forgotten
// is a line of the state table without a content_hash.
func (t *tables) prepareForget(rows, state string) {
	const which = "select inventory_namespace, inventory_name from "
	t.forget = "insert into " + state + " as s (" + list("", placeColumns, stateColumns) + ") " +
		"values ($1, $2, $3, $4::bigint, '', '', 0, $5::timestamptz, $5::timestamptz) on conflict (" + strings.Join(placeKey, ", ") + ") do update set " +
		"(generation, content_hash, schema_version, row_count, exported_at, confirmed_at) = (excluded.generation, '', '', 0, excluded.exported_at, excluded.confirmed_at) " +
		"where s.generation < excluded.generation"
	t.selectInventories = which + state + " where cluster = $1 and content_hash <> '' union " +
		which + rows + " where cluster = $1 and deleted_at is null"
}

// soften has rows marked as deleted in place of being deleted.
func (t *tables) soften() {
	const set = " set generation = $4::bigint, exported_at = $5::timestamptz, deleted_at = $5::timestamptz"
	rows := t.quoted(t.rows)
	t.clear = "update " + rows + set + here + " and deleted_at is null"
	t.remove = "update " + rows + " r" + set + " from " + removed + " and r.deleted_at is null"
}

func list(prefix string, columns ...[]column) string {
	var all []string
	for _, c := range slices.Concat(columns...) {
		all = append(all, prefix+c.name)
	}
	return strings.Join(all, ", ")
}

// createRows returns the statement that makes the table of rows. Columns for
// promoted attributes are added when there are any. Pages keep some room, so that a
// row that changes mostly stays on its page and no index has to be told: a third less
// is written to the server's log.
func (t *tables) createRows() string {
	return "create table " + t.quoted(t.rows) + " (" +
		definitions(rowsColumns, rowKey) + ") with (fillfactor = 90)"
}

func (t *tables) createState() string {
	return "create table " + t.quoted(t.state) + " (" + definitions(slices.Concat(placeColumns, stateColumns), placeKey) + ") with (fillfactor = 50)"
}

func definitions(columns []column, key []string) string {
	var all []string
	for _, c := range columns {
		kind := c.kind
		if slices.Contains(key, c.name) {
			kind = identifier
		}
		if !c.null {
			kind += " not null"
		}
		all = append(all, c.name+" "+kind)
	}
	return strings.Join(append(all, "primary key ("+strings.Join(key, ", ")+")"), ", ")
}

// errMisfit says what of a table does not fit.
func errMisfit(table, what, mend string) error {
	return sink.Permanent(fmt.Errorf("spec.postgres.table: table %s does not fit: %s: %s, or name another table", table, what, mend))
}
