package git

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/git/object"
)

const (
	documentName  = "inventory"
	resourcesName = "resources"
)

// made is what is to be put into the folder of an inventory.
type made struct {
	file object.Entry
	pack *object.Pack // with what file names and the branch does not have
	base object.ID    // of layout perResource: what the branch has, for pack to be right
}

// written is what this store has committed of an inventory.
type written struct {
	snapshot *inventory.Snapshot
	tree     object.ID
}

// remember keeps what was committed, so that the next commit looks at what changed
// alone.
func (s *Store) remember(of *inventory.Inventory, snapshot *inventory.Snapshot, tree object.ID) {
	if s.layout != perResource {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[nameOf(of)] = &written{snapshot, tree}
}

// make encodes the snapshot as the layout has it.
func (s *Store) make(ctx context.Context, p *place, snapshot *inventory.Snapshot) (*made, error) {
	m := &made{pack: object.NewPack(s.space)}
	var err error
	if s.layout == perResource {
		m.base = p.tree(resourcesName)
		m.file = object.Entry{Mode: object.ModeTree, Name: resourcesName}
		m.file.ID, err = s.makeResources(ctx, m, snapshot)
	} else {
		m.file = object.Entry{Mode: object.ModeFile, Name: documentName + "." + s.format}
		m.file.ID, err = s.makeDocument(ctx, m.pack, snapshot)
	}
	if err != nil {
		m.pack.Close()
		return nil, err
	}
	return m, nil
}

// makeDocument writes the document twice: Git wants to know how long it is first.
func (s *Store) makeDocument(ctx context.Context, pack *object.Pack, snapshot *inventory.Snapshot) (object.ID, error) {
	entries := format.Ordered(snapshot)
	length := &measure{}
	if err := s.writeDocument(ctx, length, snapshot, entries); err != nil {
		return object.ID{}, err
	}
	return pack.AddStream(object.Blob, length.n, func(w io.Writer) error {
		return s.writeDocument(ctx, w, snapshot, entries)
	})
}

// measure counts what is written to it.
type measure struct{ n int64 }

func (m *measure) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	return len(p), nil
}

// writeDocument writes all rows. What differs from export to export of the same
// content is in the manifest, so that nothing but what changed is in a diff.
func (s *Store) writeDocument(ctx context.Context, w io.Writer, snapshot *inventory.Snapshot, entries []*inventory.Entry) error {
	of := snapshot.Inventory()
	buf := s.appendHead(nil, of, len(entries) == 0)
	var row []byte
	for i, e := range entries {
		row = format.AppendRow(row[:0], of, e)
		if s.format == "yaml" {
			buf = appendYAMLItem(buf, row)
		} else {
			buf = appendIndented(append(buf, "    "...), row, "    ")
			if i < len(entries)-1 {
				buf = append(buf, ',')
			}
			buf = append(buf, '\n')
		}
		if len(buf) < 32<<10 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	if s.format != "yaml" && len(entries) > 0 {
		buf = append(buf, "  ]\n}\n"...)
	}
	_, err := w.Write(buf)
	return err
}

func (s *Store) appendHead(buf []byte, of *inventory.Inventory, empty bool) []byte {
	var head []byte
	head = append(head, `{"apiVersion":"`+format.APIVersion+`","kind":"`+format.Kind+`","metadata":{"cluster":`...)
	head = inventory.AppendJSONString(head, of.Cluster)
	if of.Namespace != "" {
		head = inventory.AppendJSONString(append(head, `,"namespace":`...), of.Namespace)
	}
	head = inventory.AppendJSONString(append(head, `,"name":`...), of.Name)
	head = append(head, `},"rows":[]}`...)
	if s.format == "yaml" {
		buf = appendYAML(buf, head)
		if !empty {
			buf = append(bytes.TrimSuffix(buf, []byte(" []\n")), '\n')
		}
		return buf
	}
	buf = append(appendIndented(buf, head, ""), '\n')
	if !empty {
		buf = append(bytes.TrimSuffix(buf, []byte("]\n}\n")), '\n')
	}
	return buf
}

// appendIndented appends JSON with a member a line.
func appendIndented(buf, text []byte, prefix string) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, text, prefix, "  "); err != nil {
		return append(buf, text...) // it stays on its line
	}
	return append(buf, out.Bytes()...)
}
