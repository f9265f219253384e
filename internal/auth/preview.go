package auth

import (
	"strconv"
	"strings"
)

// previewLength is how much of a token may be logged: a part of the header that
// is the same in nearly all tokens, and nothing of the claims or the signature.
const previewLength = 19

// Preview returns what may be logged of a token: its first 19 characters if they
// are part of a JWT's header, else only its length. A token that is no JWT may be
// anything, for instance a password.
func Preview(token string) string {
	head, _, found := strings.Cut(token, ".")
	if found && len(head) > previewLength && len(head) <= MaxToken && isHeader(head) {
		return token[:previewLength] + "..."
	}
	return "<not a JWT, " + strconv.Itoa(len(token)) + " bytes>"
}

func isHeader(head string) bool {
	for i := range len(head) {
		if !isBase64URL(head[i]) { // a line break would forge a log line
			return false
		}
	}
	_, _, ok := decodeHeader(head)
	return ok
}
