package auth

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// maxIterations bounds a stored PBKDF2 string; Django's default was 1,200,000 in
// its version 6.0 and grows with each.
const maxIterations = 4_000_000

// A pbkdf2Hash is Django's default: pbkdf2_sha256$iterations$salt$hash.
type pbkdf2Hash struct {
	iterations int
	salt       string // its characters, as they are
	hash       []byte
}

func (h *pbkdf2Hash) fits(password string) bool {
	got, err := pbkdf2.Key(sha256.New, password, []byte(h.salt), h.iterations, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1
}

func (*pbkdf2Hash) outdated() bool { return true }

// parsePBKDF2 reads what follows "pbkdf2_sha256$".
func parsePBKDF2(s string) (*pbkdf2Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 3 {
		return nil, errors.New("it is not pbkdf2_sha256$iterations$salt$hash")
	}
	h := &pbkdf2Hash{salt: parts[1]}
	var ok bool
	if h.iterations, ok = number(parts[0], maxIterations); !ok {
		return nil, fmt.Errorf("its iterations are not between 1 and %d", maxIterations)
	}
	if h.salt == "" || len(h.salt) > 128 {
		return nil, errors.New("its salt is not 1 to 128 characters")
	}
	var err error
	if h.hash, err = base64.StdEncoding.Strict().DecodeString(parts[2]); err != nil || len(h.hash) != sha256.Size {
		return nil, fmt.Errorf("its hash is not %d bytes in base64", sha256.Size)
	}
	return h, nil
}

// parseDjangoArgon2 reads what follows "argon2$": Django puts its own name of the
// algorithm in front of the PHC form.
func parseDjangoArgon2(s string) (*argon2Hash, error) {
	h, err := parseArgon2(s)
	if err != nil {
		return nil, err
	}
	h.django = true
	return h, nil
}
