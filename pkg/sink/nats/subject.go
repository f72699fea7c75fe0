package nats

import (
	"strings"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// root is what all subjects begin with.
const root = "kollect.v1"

// checkpointsOf selects the checkpoints of all inventories of a cluster.
func checkpointsOf(cluster string) string {
	return root + "." + cloudevent.Token(cluster) + ".*.*._checkpoint"
}

// inventoryOf returns the inventory whose checkpoint has the subject.
func inventoryOf(subject string) (ref inventory.Ref, ok bool) {
	tokens := strings.Split(strings.TrimPrefix(subject, root+"."), ".")
	if len(tokens) != 4 {
		return ref, false
	}
	if tokens[1] != clusterToken {
		if ref.Namespace, ok = cloudevent.Unescape(tokens[1]); !ok {
			return ref, false
		}
	}
	ref.Name, ok = cloudevent.Unescape(tokens[2])
	return ref, ok
}

// clusterToken stands for the namespace of cluster inventories.
const clusterToken = "_cluster"

// place is where an inventory's messages are: what their subjects begin with.
// Tokens that stand for names never begin with '_', but for the token "_".
type place string

func placeOf(of *inventory.Inventory) place {
	namespace := clusterToken
	if of.Namespace != "" {
		namespace = cloudevent.Token(of.Namespace)
	}
	return place(strings.Join([]string{root, cloudevent.Token(of.Cluster), namespace, cloudevent.Token(of.Name)}, "."))
}

// all selects every message of the inventory, and of no other.
func (p place) all() string        { return string(p) + ".>" }
func (p place) begin() string      { return string(p) + "._begin" }
func (p place) end() string        { return string(p) + "._end" }
func (p place) checkpoint() string { return string(p) + "._checkpoint" }

// rows returns what the subjects of rows of the origin's kind begin with; their keys
// follow.
func (p place) rows(origin inventory.Origin) string {
	return string(p) + "." + kindToken(origin.Kind) + groupToken(origin.Group) + "."
}

// kindToken and groupToken have no '_' but the one between them.
func kindToken(kind string) string {
	token := cloudevent.Token(kind)
	if token == "_" {
		return token
	}
	return strings.ReplaceAll(token, "_", "%5F")
}

func groupToken(group string) string {
	if group == "" {
		return ""
	}
	return "_" + strings.ReplaceAll(cloudevent.Token(group), "_", "%5F")
}

// covers reports whether a subject with wildcards matches every subject that
// another with wildcards matches.
func covers(pattern, subject string) bool {
	want := strings.Split(subject, ".")
	for i, token := range strings.Split(pattern, ".") {
		switch {
		case token == ">":
			return i < len(want)
		case i >= len(want) || want[i] == ">" || token != "*" && token != want[i]:
			return false
		}
	}
	return strings.Count(pattern, ".") == strings.Count(subject, ".")
}
