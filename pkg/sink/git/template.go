package git

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

const defaultTemplate = "{cluster}/{namespace}/{inventory}"

// template says in which folder an inventory is: a segment a level.
type template []segment

// segment is text with placeholders between: those at odd places.
type segment []string

// parseTemplate reads spec.git.pathTemplate.
func parseTemplate(text string) (template, error) {
	if text == "" {
		text = defaultTemplate
	}
	var parsed template
	for folder := range strings.SplitSeq(strings.TrimSuffix(text, "/"), "/") {
		s, err := parseSegment(folder)
		if err != nil {
			return nil, fmt.Errorf("spec.git.pathTemplate: %w", err)
		}
		parsed = append(parsed, s)
	}
	return parsed, nil
}

func parseSegment(folder string) (segment, error) {
	var s segment
	rest := folder
	for {
		text, after, found := strings.Cut(rest, "{")
		s = append(s, text)
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if !found || !slices.Contains([]string{"cluster", "namespace", "inventory"}, name) {
			return nil, errors.New("may hold the placeholders {cluster}, {namespace} and {inventory}, and no other")
		}
		s, rest = append(s, name), after
	}
	plain := strings.ToLower(folder)
	switch {
	case plain == "" || plain == "." || plain == "..":
		return nil, errors.New("must be relative, with no folder that is empty or goes up")
	case plain == ".git" || strings.HasPrefix(plain, "git~"):
		return nil, errors.New("must have no folder that Git keeps for itself, such as .git")
	case !wellFormed(s) || strings.TrimRight(folder, ". ") != folder:
		return nil, errors.New("must have folders without any of \\ : * ? \" < > |, which do not end with a dot or space")
	}
	return s, nil
}

// wellFormed reports whether the text is fit for names of folders everywhere.
func wellFormed(s segment) bool {
	for i, text := range s {
		if i%2 == 0 && strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune("\\:*?\"<>|{}", c) }) {
			return false
		}
	}
	return true
}

// expand returns the name of a folder. Not ok: it depends on what value does not
// know.
func (s segment) expand(value func(name string) (string, bool)) (name string, ok bool) {
	var b strings.Builder
	for i, text := range s {
		if i%2 == 1 {
			if text, ok = value(text); !ok {
				return "", false
			}
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// clusterNamespace takes the namespace's place in folders of what has none.
const clusterNamespace = "_cluster"

// folderOf returns the folders down to that of the inventory.
func (t template) folderOf(of *inventory.Inventory) []string {
	var folders []string
	for _, s := range t {
		name, _ := s.expand(func(name string) (string, bool) {
			switch name {
			case "cluster":
				return safeName(of.Cluster), true
			case "namespace":
				return namespaceFolder(of.Namespace), true
			}
			return safeName(of.Name), true
		})
		folders = append(folders, name)
	}
	return folders
}

func namespaceFolder(namespace string) string {
	if namespace == "" {
		return clusterNamespace
	}
	return safeName(namespace)
}

const hexDigits = "0123456789abcdef"

// maxName is how long a name in a path may be, so that there is room for more.
const maxName = 200

// safeName returns a name that any file system can have: it differs from those of
// others by more than case, and what is not plain is written as %xx. Of a name that
// is too long it is the start.
func safeName(name string) string {
	if plainName(name) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		escape := !plainByte(c) || c == '.' && (i == 0 || i == len(name)-1) || i == 0 && deviceName(name)
		switch {
		case b.Len()+3 > maxName:
			return b.String()
		case escape:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

// plainName reports whether a name is safe as it is, as nearly all are.
func plainName(name string) bool {
	if len(name) == 0 || len(name) > maxName-3 || name[0] == '.' || name[0] == '_' || name[len(name)-1] == '.' || deviceName(name) {
		return false
	}
	for i := range len(name) {
		if !plainByte(name[i]) {
			return false
		}
	}
	return true
}

// deviceName reports whether Windows takes the name for that of a device.
func deviceName(name string) bool {
	if len(name) < 3 {
		return false
	}
	name, _, _ = strings.Cut(name, ".")
	switch len(name) {
	case 3:
		return name == "con" || name == "prn" || name == "aux" || name == "nul"
	case 4:
		return (name[:3] == "com" || name[:3] == "lpt") && name[3] >= '0' && name[3] <= '9'
	}
	return false
}
