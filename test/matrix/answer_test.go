package matrix

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// reply is what an answer of any form says.
type reply struct {
	status  int
	items   []*item  // only their metadata, except in JSON
	names   []string // instead of items, where there is no more
	changes []string
	columns []string
	counts  []string // what is wrong with counts
	text    []string // all that was sent, and tokens decoded
}

// ask asks, page by page if there are some, and reads the answers.
func (w *world) ask(ctx context.Context, a *ask, all int) (*reply, error) {
	if a.verb == "watch" {
		return w.watchUntilSynced(ctx, a)
	}
	r := &reply{}
	for token := ""; ; {
		page, err := w.read(ctx, a.by, a.as, a.path(token), a.accept())
		if err != nil {
			return nil, err
		}
		r.keep(page)
		if page.status != 200 {
			if token != "" {
				return nil, fmt.Errorf("continue: %d: %s", page.status, page.body)
			}
			return r, nil
		}
		next, err := r.parse(a, page, all)
		if err != nil {
			return nil, fmt.Errorf("%w: %.500s", err, page.body)
		}
		if token = next; token == "" {
			return r, nil
		}
		if a.limit == 0 {
			return nil, fmt.Errorf("a token without a limit: %.500s", page.body)
		}
	}
}

// keep remembers what an answer says to who looks for traces.
func (r *reply) keep(page *answer) {
	r.status = page.status
	r.text = append(r.text, string(page.body))
	for name, values := range page.header {
		if name != "Etag" && name != "X-Kubernetes-Pf-Flowschema-Uid" && name != "X-Kubernetes-Pf-Prioritylevel-Uid" && name != "Audit-Id" {
			r.text = append(r.text, values...)
		}
	}
}

// parse adds a page of an answer, and returns the token of the next. all is how
// many objects are to come.
func (r *reply) parse(a *ask, page *answer, all int) (next string, err error) {
	switch {
	case a.subresource == "diff":
		return "", r.parseDiff(page.body)
	case a.subresource == "snapshot":
		return "", r.parseSnapshot(a, page)
	case a.verb == "get" && a.form != "table":
		i, err := parseItem(page.body)
		r.items = append(r.items, i)
		return "", err
	}
	var list *listed
	if a.form == "table" || a.form == "cells" {
		if list, err = r.parseTable(a, page.body); err != nil {
			return "", err
		}
	} else if list, err = parseList(page.body); err != nil {
		return "", err
	}
	r.items = append(r.items, list.items...)
	if a.verb == "list" {
		r.count(a, list, all)
	}
	return list.next, nil
}

// count looks at how many are said to follow, which is told only where nothing is
// selected, and at the token.
func (r *reply) count(a *ask, list *listed, all int) {
	left := all - len(r.items) - len(r.names)
	switch said := list.remainingItemCount; {
	case said == nil && list.next != "" && a.field == "" && a.label == "":
		r.counts = append(r.counts, "remainingItemCount is missing")
	case said != nil && (list.next == "" || a.field != "" || a.label != ""):
		r.counts = append(r.counts, fmt.Sprintf("remainingItemCount is %d", *said))
	case said != nil && *said != left:
		r.counts = append(r.counts, fmt.Sprintf("remainingItemCount is %d, want %d", *said, left))
	}
	if a.limit > 0 && list.next != "" && len(list.items) != a.limit {
		r.counts = append(r.counts, fmt.Sprintf("a page has %d objects", len(list.items)))
	}
	if token, err := base64.RawURLEncoding.DecodeString(list.next); err != nil {
		r.counts = append(r.counts, err.Error())
	} else {
		r.text = append(r.text, string(token))
	}
}

func (r *reply) parseTable(a *ask, body []byte) (*listed, error) {
	var table struct {
		Metadata struct {
			ResourceVersion, Continue string
			RemainingItemCount        *int
		}
		ColumnDefinitions []struct{ Name string }
		Rows              []struct {
			Cells  []any
			Object json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &table); err != nil {
		return nil, err
	}
	list := &listed{next: table.Metadata.Continue, remainingItemCount: table.Metadata.RemainingItemCount}
	if len(table.ColumnDefinitions) > 0 {
		r.columns = nil
	}
	for _, column := range table.ColumnDefinitions {
		r.columns = append(r.columns, column.Name)
	}
	for _, row := range table.Rows {
		name, _ := row.Cells[0].(string)
		if a.form == "cells" {
			r.names = append(r.names, name)
			continue
		}
		i, err := parseItem(row.Object)
		if err != nil {
			return nil, err
		}
		if name != i.Metadata.Name && name != "" {
			return nil, fmt.Errorf("the cells of %s are those of %s", i.Metadata.Name, name)
		}
		list.items = append(list.items, i)
	}
	return list, nil
}

func (r *reply) parseDiff(body []byte) error {
	var diff struct{ Items []struct{ Type, Name string } }
	err := json.Unmarshal(body, &diff)
	for _, i := range diff.Items {
		r.changes = append(r.changes, i.Type+" "+i.Name)
	}
	return err
}

// parseSnapshot reads the keys of a download, and what it says of itself.
func (r *reply) parseSnapshot(a *ask, page *answer) (err error) {
	var found []string
	switch a.form {
	case "json":
		var file struct {
			Metadata struct{ Rows int }
			Rows     []struct{ Key string }
		}
		err = json.Unmarshal(page.body, &file)
		for _, row := range file.Rows {
			found = append(found, row.Key)
		}
		if file.Metadata.Rows != len(found) {
			r.counts = append(r.counts, fmt.Sprintf("the file says %d rows", file.Metadata.Rows))
		}
	case "ndjson":
		for decoder := json.NewDecoder(bytes.NewReader(page.body)); err == nil && decoder.More(); {
			var row struct{ Key string }
			err = decoder.Decode(&row)
			found = append(found, row.Key)
		}
	case "csv":
		found, err = csvColumn(page.body, "row_key")
	case "parquet":
		found, err = r.parquetColumn(page.body, "row_key")
	}
	for _, key := range found {
		r.names = append(r.names, a.name+"."+key)
	}
	if said := page.header.Get("Kollect-Rows"); said != fmt.Sprint(len(found)) {
		r.counts = append(r.counts, "the header says that there are "+said)
	}
	return err
}

func csvColumn(body []byte, name string) (values []string, err error) {
	lines, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("read CSV: %d lines, %w", len(lines), err)
	}
	for column, header := range lines[0] {
		for _, line := range lines[1:] {
			if header == name {
				values = append(values, line[column])
			}
		}
	}
	return values, nil
}

// parquetColumn returns a column, and keeps the text of all: the file itself is
// compressed.
func (r *reply) parquetColumn(body []byte, name string) (values []string, err error) {
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, err
	}
	column := -1
	for i, path := range file.Schema().Columns() {
		if r.text = append(r.text, strings.Join(path, ".")); path[0] == name {
			column = i
		}
	}
	reader := parquet.NewReader(file)
	defer reader.Close()
	rows := make([]parquet.Row, file.NumRows())
	n, err := reader.ReadRows(rows)
	if int64(n) != file.NumRows() {
		return nil, fmt.Errorf("read %d of %d rows: %w", n, file.NumRows(), err)
	}
	for _, row := range rows {
		for _, value := range row {
			r.text = append(r.text, value.String())
			if value.Column() == column {
				values = append(values, value.String())
			}
		}
	}
	return values, nil
}
