package httpsink

import (
	"encoding/base64"
	"testing"
)

// The example of RFC 9421, B.2.5.
func TestSignatureIsThatOfTheStandard(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"date": "Tue, 20 Apr 2021 02:07:55 GMT", "@authority": "example.com", "content-type": "application/json"}
	base := signatureBase([]string{"date", "@authority", "content-type"}, `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
		func(component string) string { return values[component] })
	if got, want := sign(key, base), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="; got != want {
		t.Errorf("signature %s, want %s, of\n%s", got, want, base)
	}
}
