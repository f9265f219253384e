package story

import "crypto/rand"

// The alphabet of references has no i, l, o and u, so that one can be read out
// over a telephone (Crockford's base 32).
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const refLength = 16

// NewRef returns a reference: 16 characters, 80 bits from a cryptographic source.
func NewRef() string {
	var b [refLength]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}

// IsRef reports whether s looks like a reference: only those are repeated in a log,
// and looked for.
func IsRef(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) == refLength
}
