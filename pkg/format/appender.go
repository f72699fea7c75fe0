package format

import "kollect.io/kollect/pkg/inventory"

// Appender appends rows of one inventory. It keeps what many of them have in common.
// It is not safe for concurrent use.
type Appender struct {
	of       *inventory.Inventory
	target   inventory.TargetRef // of the last row
	resource *inventory.Resource // of the last row
	common   []byte              // of that target and resource
}

// NewAppender returns one of the inventory's rows.
func NewAppender(of *inventory.Inventory) *Appender { return &Appender{of: of} }

// AppendRow appends what the function of that name does.
func (a *Appender) AppendRow(buf []byte, e *inventory.Entry) []byte {
	target, resource := e.Row.Target(), e.Row.Resource()
	if resource != a.resource || target != a.target {
		a.target, a.resource = target, resource
		a.common = appendCommon(a.common[:0], a.of, target, resource)
	}
	buf = append(appendKey(buf, e.Key), a.common...)
	return appendContent(appendObject(buf, e.Row), e.Row)
}
