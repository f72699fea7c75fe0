package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/warning"
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
	a := s.kind.appender()
	switch o := object.(type) {
	case *list[T]:
		shape = o.shape
		t.ListMeta = o.ListMeta
		o.warn(ctx)
		t.Rows = []metav1.TableRow{}
		for object := range o.objects {
			t.Rows = append(t.Rows, tableRow(a, object, shape, tableOptions.IncludeObject))
		}
	case *item[T]:
		shape = o.shape
		row := tableRow(a, o.object, shape, tableOptions.IncludeObject)
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

// warn tells who looks at a table of the list what is wrong with it.
func (l *list[T]) warn(ctx context.Context) {
	if l.warning != "" {
		warning.AddWarning(ctx, "", l.warning)
	}
}

// noObject stands for the object of a row that shall have none; the API server
// takes it out, but wants to see one.
var noObject = &metav1.PartialObjectMetadata{}

func tableRow[T object](a appender[T], object T, shape *shape, include metav1.IncludeObjectPolicy) metav1.TableRow {
	row := metav1.TableRow{Cells: decodeCells(a.cells(nil, object, shape))}
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

// decodeCells reads the cells of a row.
func decodeCells(encoded []byte) (cells []any) {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(&cells); err != nil {
		panic(err)
	}
	return cells
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
