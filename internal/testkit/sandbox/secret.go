package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// password returns the password stored in dir. It generates one if there is none.
func password(dir string) (string, error) {
	path := filepath.Join(dir, "password")
	kept, err := os.ReadFile(path)
	if secret := strings.TrimSpace(string(kept)); err == nil && secret != "" {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	secret := rand.Text()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store the password: %w", err)
	}
	return secret, nil
}
