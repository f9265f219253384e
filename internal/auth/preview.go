package auth

import (
	"strconv"
	"strings"
)

// previewLength is the number of characters of a token that are logged. They are part of the
// header, which is the same for nearly all tokens.
const previewLength = 19

// Redact returns a form of the token that is safe to log: its first 19 characters if they are
// part of a JWT's header, else only its length, because something else than a JWT can be a
// password.
func Redact(token string) string {
	head, _, found := strings.Cut(token, ".")
	if found && len(head) > previewLength && len(head) <= MaxToken && isHeader(head) {
		return token[:previewLength] + "..."
	}
	return "<not a JWT, " + strconv.Itoa(len(token)) + " bytes>"
}

func isHeader(head string) bool {
	for i := range len(head) {
		if !isBase64URL(head[i]) { // a line break could forge a log line
			return false
		}
	}
	_, _, ok := decodeHeader(head)
	return ok
}
