package story

import "crypto/rand"

// alphabet is Crockford's base 32. It has no i, l, o and u, so that a reference can be read out
// over the phone.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const refLength = 16

// NewRef returns a new reference: 16 characters with 80 random bits.
func NewRef() string {
	var b [refLength]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}

// IsRef reports whether s has the form of a reference. Other texts must not be logged or looked
// up.
func IsRef(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) == refLength
}
