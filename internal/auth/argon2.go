package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The parameters of new hashes: the second recommended option of RFC 9106 §4. The first one
// needs 2 GiB for each sign-in. The minimum of OWASP (19 MiB, two passes) is well below.
const (
	argon2Memory = 64 << 10 // KiB
	argon2Passes = 3
	argon2Lanes  = 4
	argon2Salt   = 16 // bytes
	argon2Tag    = 32 // bytes
)

// The maximum parameters of a stored hash. Django's hashes take 100 MiB and two passes. The
// bound on the product limits the slowest hash to about a second.
const (
	maxArgon2Memory = 128 << 10 // KiB
	maxArgon2Passes = 16
	maxArgon2Lanes  = 16
	maxArgon2Work   = 512 << 10 // KiB, all passes together
)

// An argon2Hash is a hash in PHC form: $argon2id$v=19$m=65536,t=3,p=4$salt$tag.
type argon2Hash struct {
	variant               string // argon2id, or argon2i as Django before 3.2 made it
	memory, passes, lanes int
	salt, tag             []byte
	django                bool // stored in Django's form
}

// dummyHash matches no password. Verifying it takes as long as verifying a new hash.
var dummyHash = &argon2Hash{
	variant: "argon2id", memory: argon2Memory, passes: argon2Passes, lanes: argon2Lanes,
	salt: make([]byte, argon2Salt), tag: make([]byte, argon2Tag),
}

// Hash returns an argon2id hash of a password in PHC form. It takes 64 MiB while it runs.
// Servers call [Passwords.Hash], which bounds the number of concurrent calls.
func Hash(password string) (string, error) {
	if password == "" || len(password) > MaxPassword {
		return "", fmt.Errorf("a password must have 1 to %d bytes, got %d", MaxPassword, len(password))
	}
	h := *dummyHash
	h.salt = make([]byte, argon2Salt)
	_, _ = rand.Read(h.salt) // never fails (crypto/rand, since Go 1.24)
	h.tag = h.compute(password)
	return h.String(), nil
}

func (h *argon2Hash) String() string {
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version, h.memory, h.passes, h.lanes,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.tag))
}

func (h *argon2Hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.compute(password), h.tag) == 1
}

func (h *argon2Hash) compute(password string) []byte {
	derive := argon2.IDKey
	if h.variant == "argon2i" {
		derive = argon2.Key
	}
	// parseArgon2 bounds each number far below the maximum of its type.
	return derive([]byte(password), h.salt, uint32(h.passes), uint32(h.memory), uint8(h.lanes), uint32(len(h.tag))) //nolint:gosec // bounded
}

func (h *argon2Hash) needsRehash() bool {
	return h.django || h.variant != dummyHash.variant || h.memory != argon2Memory || h.passes != argon2Passes ||
		h.lanes != argon2Lanes || len(h.salt) < argon2Salt || len(h.tag) < argon2Tag
}

func (h *argon2Hash) cost() int { return h.memory * h.passes }

// restOf returns a hash whose verification costs what that of h costs less than that of standard,
// or nil if that is nothing.
func restOf(h storedHash, standard *argon2Hash) *argon2Hash {
	rest := *standard
	rest.memory = (standard.cost() - h.cost()) / rest.passes
	if rest.memory < 8*rest.lanes { // RFC 9106 §3.1
		return nil
	}
	return &rest
}

// parseArgon2 parses the part of the PHC form after the first "$".
func parseArgon2(s string) (*argon2Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 5 || parts[0] != "argon2id" && parts[0] != "argon2i" {
		return nil, errors.New("not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	}
	if parts[1] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errors.New("version of argon2 is not 19")
	}
	h := &argon2Hash{variant: parts[0]}
	numbers := strings.Split(parts[2], ",")
	if len(numbers) != 3 {
		return nil, errors.New("parameters are not m, t and p")
	}
	for i, f := range []struct {
		to   *int
		name string
		top  int
	}{{&h.memory, "m=", maxArgon2Memory}, {&h.passes, "t=", maxArgon2Passes}, {&h.lanes, "p=", maxArgon2Lanes}} {
		text, found := strings.CutPrefix(numbers[i], f.name)
		n, ok := parseNumber(text, f.top)
		if !found || !ok {
			return nil, fmt.Errorf("parameter %q is not between 1 and %d", f.name, f.top)
		}
		*f.to = n
	}
	// RFC 9106 §3.1: at least 8 KiB for each lane.
	if h.memory < 8*h.lanes || h.memory*h.passes > maxArgon2Work {
		return nil, errors.New("parameters are out of bounds together")
	}
	return h, h.readSaltAndTag(parts[3], parts[4])
}

func (h *argon2Hash) readSaltAndTag(salt, tag string) (err error) {
	if h.salt, err = unpadded.DecodeString(salt); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return errors.New("salt is not 8 to 64 bytes in base64")
	}
	if h.tag, err = unpadded.DecodeString(tag); err != nil || len(h.tag) < 16 || len(h.tag) > 64 {
		return errors.New("hash is not 16 to 64 bytes in base64")
	}
	return nil
}

var unpadded = base64.RawStdEncoding.Strict()

// parseNumber parses a decimal number from 1 to top without sign or leading zero.
func parseNumber(s string, top int) (int, bool) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= top
}
