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

// maxIterations is the maximum number of PBKDF2 iterations of a stored hash. Django 6.0 uses
// 1,200,000, and each version uses more.
const maxIterations = 4_000_000

// A pbkdf2Hash is a hash in Django's default form: pbkdf2_sha256$iterations$salt$hash.
type pbkdf2Hash struct {
	iterations int
	salt       string // used as it is, not decoded
	hash       []byte
}

func (h *pbkdf2Hash) matches(password string) bool {
	got, err := pbkdf2.Key(sha256.New, password, []byte(h.salt), h.iterations, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1
}

func (*pbkdf2Hash) needsRehash() bool { return true }

// iterationsPerKiB is the number of PBKDF2 iterations that take the time in which argon2 fills a
// KiB, on amd64 with SHA extensions. It need not be exact: a pace evens out what is left.
const iterationsPerKiB = 6

func (h *pbkdf2Hash) cost() int { return h.iterations / iterationsPerKiB }

func (h *pbkdf2Hash) String() string {
	return fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", h.iterations, h.salt, base64.StdEncoding.EncodeToString(h.hash))
}

// parsePBKDF2 parses the part after "pbkdf2_sha256$".
func parsePBKDF2(s string) (*pbkdf2Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 3 {
		return nil, errors.New("not of the form pbkdf2_sha256$iterations$salt$hash")
	}
	h := &pbkdf2Hash{salt: parts[1]}
	var ok bool
	if h.iterations, ok = parseNumber(parts[0], maxIterations); !ok {
		return nil, fmt.Errorf("iterations are not between 1 and %d", maxIterations)
	}
	if h.salt == "" || len(h.salt) > 128 {
		return nil, errors.New("salt is not 1 to 128 characters")
	}
	var err error
	if h.hash, err = base64.StdEncoding.Strict().DecodeString(parts[2]); err != nil || len(h.hash) != sha256.Size {
		return nil, fmt.Errorf("hash is not %d bytes in base64", sha256.Size)
	}
	return h, nil
}

// parseDjangoArgon2 parses the part after "argon2$", the prefix that Django puts before the
// PHC form.
func parseDjangoArgon2(s string) (*argon2Hash, error) {
	h, err := parseArgon2(s)
	if err != nil {
		return nil, err
	}
	h.django = true
	return h, nil
}
