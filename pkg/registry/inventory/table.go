package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/warning"

	"kollect.io/kollect/pkg/inventory"
)

// ConvertToTable returns the table that kubectl prints. Its rows have as much of
// their objects as the options want included.
func (s *store[T]) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	tableOptions, _ := options.(*metav1.TableOptions)
	if tableOptions == nil {
		tableOptions = &metav1.TableOptions{}
	}
	t := &metav1.Table{}
	var shape *shape
	switch o := object.(type) {
	case *list[T]:
		shape = o.shape
		t.ListMeta = o.ListMeta
		if o.warning != "" {
			warning.AddWarning(ctx, "", o.warning)
		}
		t.Rows = []metav1.TableRow{}
		for object := range o.objects {
			t.Rows = append(t.Rows, s.tableRow(object, shape, tableOptions.IncludeObject))
		}
	case *item[T]:
		shape = o.shape
		row := s.tableRow(o.object, shape, tableOptions.IncludeObject)
		t.ResourceVersion = o.object.meta().ResourceVersion
		t.Rows = append(t.Rows, row)
	case *bookmark:
		shape = o.shape
		t.ResourceVersion = o.GetObjectMeta().GetResourceVersion()
		cells := make([]any, len(s.kind.columns(shape)))
		t.Rows = append(t.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: o.object}})
	default:
		return nil, errors.NewInternalError(fmt.Errorf("make table of %T", object))
	}
	if !tableOptions.NoHeaders {
		t.ColumnDefinitions = s.kind.columns(shape)
	}
	return t, nil
}

// noObject stands for the object of a row that shall have none; the API server
// takes it out, but wants to see one.
var noObject = &metav1.PartialObjectMetadata{}

func (s *store[T]) tableRow(object T, shape *shape, include metav1.IncludeObjectPolicy) metav1.TableRow {
	row := metav1.TableRow{Cells: s.kind.cells(object, shape)}
	switch include {
	case metav1.IncludeObject:
		row.Object.Object = object.typed()
	case metav1.IncludeNone:
		row.Object.Object = noObject
	default:
		row.Object.Object = &metav1.PartialObjectMetadata{ObjectMeta: object.meta()}
	}
	return row
}

const (
	nameDescription = "Unique within its namespace."
	ageDescription  = "How long ago the source object was created."
)

func (k rows) columns(s *shape) []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: nameDescription},
		{Name: "Kind", Type: "string", Description: "Kind of the source object."},
		{Name: "Source Namespace", Type: "string", Description: "Namespace of the source object."},
		{Name: "Source", Type: "string", Description: "Name of the source object."},
		{Name: "Target", Type: "string", Description: "Target that collected the row."},
	}
	for _, c := range s.attributes() {
		columns = append(columns, metav1.TableColumnDefinition{
			Name: strings.ToUpper(c.Name[:1]) + c.Name[1:], Type: string(c.Type), Description: "Attribute " + c.Name + ".",
		})
	}
	return append(columns,
		metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: ageDescription},
		metav1.TableColumnDefinition{Name: "UID", Type: "string", Priority: 1, Description: "UID of the source object."},
		metav1.TableColumnDefinition{Name: "Cluster", Type: "string", Priority: 1, Description: "Cluster of the source object."},
	)
}

func (k rows) cells(r row, s *shape) []any {
	cells := make([]any, 0, 12)
	cells = append(cells, r.name(), r.Row.Resource().Kind, r.Row.Namespace(), r.Row.Name(), r.Row.Target().String())
	for _, c := range s.attributes() {
		cells = append(cells, attributeCell(r.Row, c))
	}
	return append(cells, ageCell(r.Row.Created()), r.Row.UID(), r.inventory.Cluster)
}

func ageCell(created time.Time) string {
	return table.ConvertToHumanReadableDateType(metav1.Time{Time: created})
}

// attributeCell returns a promoted attribute as its column's type, and as text
// if it is of another. An attribute that is absent is an empty cell.
func attributeCell(r *inventory.Row, c inventory.Column) any {
	value, ok := inventory.Member(r.Attributes(), c.Name)
	if !ok || value == "null" {
		return nil
	}
	switch first := value[0]; {
	case first == '-' || '0' <= first && first <= '9':
		if c.Type == inventory.ColumnInteger || c.Type == inventory.ColumnNumber {
			return json.Number(value)
		}
	case value == "true" || value == "false":
		if c.Type == inventory.ColumnBoolean {
			return value == "true"
		}
	}
	return inventory.Unquote(value)
}

func (k heads) columns(*shape) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: nameDescription},
		{Name: "Rows", Type: "integer", Description: "How many rows there are."},
		{Name: "Kinds", Type: "string", Description: "How many rows there are of each kind."},
		{Name: "Generation", Type: "integer", Description: "Export generation of the last content that was handed to the exporter."},
		{Name: "Hash", Type: "string", Description: "The first digits of the content hash."},
		{Name: "Synced", Type: "string", Description: "Whether the first list of every target is complete."},
		{Name: "Stale", Type: "string", Description: "Whether the source of any target can't be watched now."},
		{Name: "Exported", Type: "string", Description: "How long ago the sink that lags most was last written."},
		{Name: "Age", Type: "string", Description: "How long ago the inventory was configured."},
		{Name: "Cluster", Type: "string", Priority: 1, Description: "Cluster in rows and exports."},
	}
}

func (k heads) cells(h head, _ *shape) []any {
	return []any{
		h.inventory.Name, int64(h.Rows), kindsCell(h.Kinds), h.Generation, hashCell(h.Hash),
		boolCell(h.Synced()), boolCell(h.Stale()), exportedCell(h.Sinks, time.Now()),
		ageCell(h.inventory.Created), h.inventory.Cluster,
	}
}

// kindsCell names as many kinds as fit.
func kindsCell(kinds []inventory.KindCount) string {
	const width = 48
	var b strings.Builder
	for i, k := range kinds {
		part := fmt.Sprintf("%s=%d", k.Kind, k.Rows)
		if i > 0 && b.Len()+1+len(part) > width {
			fmt.Fprintf(&b, ",+%d", len(kinds)-i)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(part)
	}
	return b.String()
}

func hashCell(h inventory.ContentHash) string {
	const digits = 12
	_, hex, _ := strings.Cut(h.String(), ":")
	return hex[:digits]
}

func boolCell(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// exportedCell returns how long ago every sink had been written.
func exportedCell(sinks []inventory.SinkState, now time.Time) string {
	if len(sinks) == 0 {
		return ""
	}
	oldest := sinks[0].LastSuccess
	for _, s := range sinks {
		if s.LastSuccess.Before(oldest) {
			oldest = s.LastSuccess
		}
	}
	if oldest.IsZero() {
		return "never"
	}
	return duration.HumanDuration(now.Sub(oldest))
}
