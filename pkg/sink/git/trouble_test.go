package git

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/object"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/git"
)

// mustRefuse checks that an export fails for good, says what would mend it, and
// shows no secret.
func mustRefuse(t *testing.T, d *destination, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was exported")
	}
	if !sink.IsPermanent(err) {
		t.Errorf("it would be tried again: %v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
	for _, key := range []string{"token", "ssh-privatekey", "password"} {
		if value := strings.TrimSpace(string(d.secret[key])); value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("the secret is in: %v", err)
		}
	}
}

func TestWhatSomebodyHasToMend(t *testing.T) {
	server := start(t, service.Options{})
	deny := func(t *testing.T, d *destination) {
		dir := mustGit(t, d, "rev-parse", "--absolute-git-dir")
		if err := os.MkdirAll(filepath.Join(dir, "hooks"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "hooks/pre-receive"), []byte("#!/bin/sh\necho 'branch main is protected' >&2\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, content string) func(*testing.T, *destination) {
		return func(t *testing.T, d *destination) { commitFile(t, d, name, content) }
	}
	secret := func(key, value string) func(*testing.T, *destination) {
		return func(_ *testing.T, d *destination) { d.secret[key] = []byte(value) }
	}
	for name, c := range map[string]struct {
		scheme string
		spoil  func(*testing.T, *destination)
		words  []string
	}{
		"a protected branch":      {"https", deny, []string{"branch main is protected", "spec.git.branch"}},
		"a protected branch, ssh": {"ssh", deny, []string{"branch main is protected", "spec.git.branch"}},
		"a wrong token":           {"https", secret("token", "wrong-token"), []string{"HTTP status 401", "spec.secretRef"}},
		"an unknown authority":    {"https", secret("ca.crt", ""), []string{"not trusted", "ca.crt"}},
		"no repository":           {"https", func(_ *testing.T, d *destination) { d.spec.URL += "x" }, []string{"404", "spec.git.url"}},
		"no repository, ssh":      {"ssh", func(_ *testing.T, d *destination) { d.spec.URL += "x" }, []string{"no such repository", "spec.git.url"}},
		"an unknown host key": {"ssh", func(t *testing.T, d *destination) {
			other := start(t, service.Options{}).SSHSecret()["known_hosts"]
			_, key, _ := strings.Cut(string(other), " ")
			host, _, _ := strings.Cut(string(d.secret["known_hosts"]), " ")
			d.secret["known_hosts"] = []byte(host + " " + key)
		}, []string{"not trusted", "SHA256:", "known_hosts"}},
		"a key that the server does not know": {"ssh", func(t *testing.T, d *destination) {
			d.secret["ssh-privatekey"] = start(t, service.Options{}).SSHSecret()["ssh-privatekey"]
		}, []string{"unable to authenticate", "spec.secretRef"}},
		"a file of somebody else":  {"https", put("demo/team-a/apps/inventory.yaml", "x"), []string{"demo/team-a/apps/inventory.yaml", "not by Kollect", "spec.git.pathTemplate"}},
		"a file where a folder is": {"https", put("demo/team-a", "x"), []string{"demo/team-a is not a folder"}},
		"a manifest that is not":   {"https", put("demo/team-a/apps/.kollect.json", "{}"), []string{manifestName, "not a manifest", "remove it"}},
		"a manifest that is large": {"https", put("demo/team-a/apps/.kollect.json", strings.Repeat("x", 1<<20)), []string{manifestName, "not a manifest"}},
		"another inventory's place": {"https", func(t *testing.T, d *destination) {
			d.spec.PathTemplate = "all"
			export(t, openStore(t, d), sinktest.NewSampleOf("other", ref), 1)
		}, []string{"team-a/apps of cluster other", "{cluster}"}},
		"another layout": {"https", func(t *testing.T, d *destination) {
			export(t, openStore(t, d), sinktest.NewSample(ref), 1)
			d.spec.Layout = "perResource"
		}, []string{"layout document", "spec.git.pathTemplate"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := over(t, server, c.scheme, kollectv1alpha1.GitSink{}, filters)
			c.spoil(t, d)
			before, _ := d.git(t.Context(), "rev-parse", "main")
			s := sinktest.NewSample(ref)
			s.Set("web", "nginx:1.27")
			mustRefuse(t, d, tryExport(t, openStore(t, d), s, 2), c.words...)
			if after, _ := d.git(t.Context(), "rev-parse", "main"); !bytes.Equal(before, after) {
				t.Error("the branch moved")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	server := start(t, service.Options{})
	https, sshSecret := server.Secret(), server.SSHSecret()
	without := func(secret map[string][]byte, key string) map[string][]byte {
		some := map[string][]byte{}
		for k, v := range secret {
			if k != key {
				some[k] = v
			}
		}
		return some
	}
	for name, c := range map[string]struct {
		spec   kollectv1alpha1.GitSink
		secret map[string][]byte
		words  string
	}{
		"credentials in the URL":  {kollectv1alpha1.GitSink{URL: "https://u:p4ssw0rd@h/r"}, https, "must not hold credentials"},
		"another protocol":        {kollectv1alpha1.GitSink{URL: "http://h/r"}, https, "https:// or ssh://"},
		"no known hosts":          {kollectv1alpha1.GitSink{URL: server.SSHURL("r")}, without(sshSecret, "known_hosts"), "known_hosts"},
		"another host's":          {kollectv1alpha1.GitSink{URL: "ssh://elsewhere/r"}, sshSecret, "known_hosts has no key of elsewhere"},
		"no key":                  {kollectv1alpha1.GitSink{URL: server.SSHURL("r")}, without(sshSecret, "ssh-privatekey"), "ssh-privatekey"},
		"no token":                {kollectv1alpha1.GitSink{URL: "https://h/r"}, map[string][]byte{"x": nil}, "must have token"},
		"a signing key of nobody": {kollectv1alpha1.GitSink{URL: "https://h/r"}, map[string][]byte{"token": []byte("t"), "signing-key": []byte("x")}, "signing-key must be"},
		"a folder of Git's":       {kollectv1alpha1.GitSink{URL: "https://h/r", PathTemplate: ".GIT/{cluster}"}, https, "such as .git"},
		"a folder that climbs":    {kollectv1alpha1.GitSink{URL: "https://h/r", PathTemplate: "../{cluster}"}, https, "must be relative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.spec, c.secret, Options{})
			if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "p4ssw0rd") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A server without room for a temporary file does not blame the Secret, and tries again.
func TestOpenWithoutRoom(t *testing.T) {
	server := start(t, service.Options{})
	spec, secret := kollectv1alpha1.GitSink{URL: server.SSHURL("r")}, server.SSHSecret()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if _, err := Open(spec, secret, Options{}); err == nil || sink.IsPermanent(err) || strings.Contains(err.Error(), "must have lines") {
		t.Errorf("%v", err)
	}
	secret["known_hosts"] = []byte("nonsense")
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := Open(spec, secret, Options{}); !sink.IsPermanent(err) || !strings.Contains(err.Error(), "must have lines") {
		t.Errorf("%v", err)
	}
}

// What does not fit into temporary files is told apart from what somebody did wrong: it
// says what makes room, and is tried again.
func TestNoRoomForPacks(t *testing.T) {
	d := over(t, start(t, service.Options{}), "https", kollectv1alpha1.GitSink{})
	noise := make([]byte, 9<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	commitFile(t, d, "others", string(noise))
	store, err := Open(d.spec, d.secret, Options{Space: object.NewSpace(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := sinktest.NewSample(ref)
	err = tryExport(t, store, s, 1)
	if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), "--sink-temp-size") || !strings.Contains(err.Error(), "uploadpack.allowFilter") {
		t.Errorf("%v", err)
	}
	mustGit(t, d, "config", "uploadpack.allowFilter", "true") // as it says, and nothing starts again
	export(t, store, s, 1)
	mustRead(t, d, s, 1)
}

// Git itself checks what was signed by an SSH key, OpenPGP's library the other.
func TestSignedCommits(t *testing.T) {
	server := start(t, service.Options{})
	t.Run("ssh", func(t *testing.T) {
		d := over(t, server, "https", kollectv1alpha1.GitSink{}, filters)
		key := server.SSHSecret()["ssh-privatekey"]
		d.secret["signing-key"] = key
		export(t, openStore(t, d), sinktest.NewSample(ref), 1)
		signer, err := ssh.ParsePrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		allowed := filepath.Join(t.TempDir(), "allowed")
		if err := os.WriteFile(allowed, append([]byte("kollect@kollect.io "), ssh.MarshalAuthorizedKey(signer.PublicKey())...), 0o600); err != nil {
			t.Fatal(err)
		}
		mustGit(t, d, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "main")
	})
	t.Run("OpenPGP", func(t *testing.T) {
		d := over(t, server, "https", kollectv1alpha1.GitSink{}, filters)
		entity, err := openpgp.NewEntity("Kollect", "", "kollect@kollect.io", nil)
		if err != nil {
			t.Fatal(err)
		}
		var key bytes.Buffer
		w, err := armor.Encode(&key, openpgp.PrivateKeyType, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := entity.SerializePrivate(w, nil); err != nil {
			t.Fatal(err)
		}
		w.Close()
		d.secret["signing-key"] = key.Bytes()
		export(t, openStore(t, d), sinktest.NewSample(ref), 1)
		raw, err := d.git(t.Context(), "cat-file", "commit", "main")
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(raw), "gpgsig ")
		lines, message, _ := strings.Cut(rest, "\n\n")
		// A line of a signature that is empty has a space before it.
		signature := strings.ReplaceAll(lines, "\n ", "\n")
		content := head + "\n" + message
		if _, err := openpgp.CheckArmoredDetachedSignature(openpgp.EntityList{entity}, strings.NewReader(content), strings.NewReader(signature), nil); err != nil {
			t.Errorf("%v of\n%s", err, raw)
		}
	})
}
