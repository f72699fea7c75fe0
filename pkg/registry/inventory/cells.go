package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"kollect.io/kollect/pkg/inventory"
)

func (a *rowAppender) cells(buf []byte, r row, s *shape) []byte {
	content := r.Row
	buf = appendRowName(append(buf, '['), r.inventory.Name, r.Key)
	buf = inventory.AppendJSONString(append(buf, ','), content.Resource().Kind)
	buf = inventory.AppendJSONString(append(buf, ','), content.Namespace())
	buf = inventory.AppendJSONString(append(buf, ','), content.Name())
	buf = inventory.AppendJSONString(append(buf, ','), content.Target().String())
	buf = a.appendAttributes(buf, content.Attributes(), s.attributes())
	buf = append(append(buf, ','), a.ageOf(content.Created())...)
	buf = inventory.AppendJSONString(append(buf, ','), content.UID())
	buf = inventory.AppendJSONString(append(buf, ','), r.inventory.Cluster)
	return append(buf, ']')
}

func (a accessibleAppender) cells(buf []byte, r accessibleRow, _ *shape) []byte {
	content := r.Row
	buf = appendRowName(append(buf, '['), r.inventory.Name, r.Key)
	buf = inventory.AppendJSONString(append(buf, ','), content.Resource().Kind)
	buf = inventory.AppendJSONString(append(buf, ','), content.Name())
	buf = inventory.AppendJSONString(append(buf, ','), r.inventory.Ref.String())
	buf = inventory.AppendJSONString(append(buf, ','), content.Target().String())
	buf = append(append(buf, ','), a.ageOf(content.Created())...)
	buf = inventory.AppendJSONString(append(buf, ','), content.Attributes())
	buf = inventory.AppendJSONString(append(buf, ','), content.UID())
	buf = inventory.AppendJSONString(append(buf, ','), r.inventory.Cluster)
	return append(buf, ']')
}

// appendAttributes appends a cell for each column, each after a comma.
func (a *rowAppender) appendAttributes(buf []byte, attributes string, columns []inventory.Column) []byte {
	if len(columns) == 0 {
		return buf
	}
	a.values = slices.Grow(a.values[:0], len(columns))[:len(columns)]
	clear(a.values)
	next := 0 // both are in the order of names
	for name, value := range inventory.Members(attributes) {
		if next == len(columns) || columns[next].Name != name {
			next = slices.IndexFunc(columns, func(c inventory.Column) bool { return c.Name == name })
		}
		if next < 0 {
			next = 0
			continue
		}
		a.values[next] = value
		next++
	}
	for i, value := range a.values {
		buf = appendCell(append(buf, ','), value, columns[i].Type)
	}
	return buf
}

// appendCell appends an attribute as its column's type, and as text if it is of
// another. An attribute that is absent, which is empty, is an empty cell.
func appendCell(buf []byte, value string, t inventory.ColumnType) []byte {
	if value == "" || value == "null" {
		return append(buf, "null"...)
	}
	switch first := value[0]; {
	case first == '-' || '0' <= first && first <= '9':
		if t == inventory.ColumnInteger || t == inventory.ColumnNumber {
			return append(buf, value...)
		}
	case value == "true" || value == "false":
		if t == inventory.ColumnBoolean {
			return append(buf, value...)
		}
	}
	return inventory.AppendJSONString(buf, inventory.Unquote(value))
}

// ageOf returns how long ago a time was, as JSON.
func (a *rowAppender) ageOf(t time.Time) []byte {
	if t != a.aged || len(a.age) == 0 {
		a.aged, a.age = t, inventory.AppendJSONString(a.age[:0], ageCell(t, a.now))
	}
	return a.age
}

// ageCell returns how long ago a time was.
func ageCell(t, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t))
}

func (headAppender) cells(buf []byte, h head, _ *shape) []byte {
	now := time.Now()
	return append(buf, marshal([]any{
		h.inventory.Name, h.Rows, kindsCell(h.Kinds), h.Generation, hashCell(h.Hash),
		boolCell(h.Synced()), boolCell(h.Stale()), exportedCell(h.Sinks, now),
		ageCell(h.inventory.Created, now), h.inventory.Cluster,
	})...)
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
