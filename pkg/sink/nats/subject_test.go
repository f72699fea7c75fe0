package nats

import (
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

func TestSubjectsReadLikeNames(t *testing.T) {
	of := &inventory.Inventory{Ref: inventory.Ref{Namespace: "team-a", Name: "apps.x"}, Cluster: "prod.eu-1"}
	p := placeOf(of)
	key := inventory.Key{1}
	for got, want := range map[string]string{
		p.rows(inventory.Origin{Group: "apps", Kind: "Deployment"}) + key.String():             "kollect.v1.prod%2Eeu-1.team-a.apps%2Ex.Deployment_apps." + key.String(),
		p.rows(inventory.Origin{Kind: "ConfigMap"}) + key.String():                             "kollect.v1.prod%2Eeu-1.team-a.apps%2Ex.ConfigMap." + key.String(),
		p.rows(inventory.Origin{Group: "cert-manager.io", Kind: "Certificate"}) + key.String(): "kollect.v1.prod%2Eeu-1.team-a.apps%2Ex.Certificate_cert-manager%2Eio." + key.String(),
		p.checkpoint(): "kollect.v1.prod%2Eeu-1.team-a.apps%2Ex._checkpoint",
		p.all():        "kollect.v1.prod%2Eeu-1.team-a.apps%2Ex.>",
		placeOf(&inventory.Inventory{Ref: inventory.Ref{Name: "platform"}, Cluster: "demo"}).begin(): "kollect.v1.demo._cluster.platform._begin",
	} {
		if got != want {
			t.Errorf("subject %s, want %s", got, want)
		}
	}
}

// FuzzSubjects looks for two rows with one subject, and for a subject that the
// server takes for something else.
func FuzzSubjects(f *testing.F) {
	f.Add("demo", "team-a", "apps", "apps", "Deployment", "demo", "team-a", "apps", "", "Deployment_apps")
	f.Add("demo", "", "apps", "a", "b_c", "demo", "_cluster", "apps", "a_b", "c")
	f.Add("a.b", "c", "d", "*", ">", "a", "b.c", "d", " ", "_checkpoint")
	f.Add("", "", "", "", "", "_", "_", "_", "_", "_")
	f.Fuzz(func(t *testing.T, c1, ns1, n1, g1, k1, c2, ns2, n2, g2, k2 string) {
		a, b := placeOf(&inventory.Inventory{Ref: inventory.Ref{Namespace: ns1, Name: n1}, Cluster: c1}), placeOf(&inventory.Inventory{Ref: inventory.Ref{Namespace: ns2, Name: n2}, Cluster: c2})
		if (a == b) != (c1 == c2 && ns1 == ns2 && n1 == n2) {
			t.Fatalf("%q, %q, %q and %q, %q, %q are at %s and %s", c1, ns1, n1, c2, ns2, n2, a, b)
		}
		o1, o2 := inventory.Origin{Group: g1, Kind: k1}, inventory.Origin{Group: g2, Kind: k2}
		r1, r2 := a.rows(o1)+inventory.Key{}.String(), b.rows(o2)+inventory.Key{}.String()
		if (r1 == r2) != (a == b && o1 == o2) {
			t.Fatalf("%+v of %s and %+v of %s are at %s and %s", o1, a, o2, b, r1, r2)
		}
		for _, subject := range []string{r1, r2, a.checkpoint(), b.begin(), a.end()} {
			tokens := strings.Split(subject, ".")
			if n := len(tokens); n != 6 && n != 7 || strings.ContainsAny(subject, " \t\r\n*>") || strings.Contains(subject, "..") {
				t.Errorf("%q is not a subject", subject)
			}
			if (len(tokens) == 6) != (tokens[5][0] == '_' && tokens[5] != "_" && !strings.HasPrefix(tokens[5], "__")) {
				t.Errorf("%q can't be told from that of another kind", subject)
			}
			if covers(a.all(), subject) != (strings.HasPrefix(subject, string(a)+".")) {
				t.Errorf("%s covers %s: %t", a.all(), subject, covers(a.all(), subject))
			}
		}
	})
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{">", "kollect.v1.a.b.c.>", true},
		{"kollect.>", "kollect.v1.a.b.c.>", true},
		{"kollect.v1.>", "kollect.v1.a.b.c.>", true},
		{"kollect.v1.*.b.>", "kollect.v1.a.b.c.>", true},
		{"kollect.v1.a.b.c.>", "kollect.v1.a.b.c.>", true},
		{"kollect.v1.a.b.c.*", "kollect.v1.a.b.c.>", false},
		{"kollect.v1.a.b.c", "kollect.v1.a.b.c.>", false},
		{"kollect.v1.a.b.c.*.*", "kollect.v1.a.b.c.>", false},
		{"kollect.v1.a.b.d.>", "kollect.v1.a.b.c.>", false},
		{"kollect.v1.a.b.c.d.>", "kollect.v1.a.b.c.>", false},
		{"kollect.v1.a", "kollect.v1.a", true},
		{"kollect.v1.*", "kollect.v1.a", true},
		{"kollect.v1.a.>", "kollect.v1.a", false},
	} {
		if got := covers(c.pattern, c.subject); got != c.want {
			t.Errorf("%s covers %s: %t", c.pattern, c.subject, got)
		}
	}
}
