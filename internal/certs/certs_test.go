package certs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAByteOrderMarkDoesNotCount: some editors put one before a text.
func TestAByteOrderMarkDoesNotCount(t *testing.T) {
	t.Parallel()
	a := world.NewAuthority(t, "test")
	marked := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "marked.pem")
		if err := os.WriteFile(to, append([]byte("\ufeff"), text...), 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}
	cert, key := a.ClientFiles(t)
	c, err := certs.Files{CA: marked(a.File(t)), Cert: marked(cert), Key: marked(key)}.Load("redis")
	if err != nil || c.RootCAs == nil || len(c.Certificates) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := (certs.Files{CA: "/nowhere.pem"}).Load("redis"); err == nil || !strings.Contains(err.Error(), "--redis-ca-file: open /nowhere.pem") {
		t.Error(err)
	}
}
