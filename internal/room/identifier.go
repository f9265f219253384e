package room

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// NormalizeIdentifier returns the form in which an e-mail address or a phone number is compared and
// counted. It does not depend on the locale of a database.
func NormalizeIdentifier(identifier string) string {
	if strings.Contains(identifier, "@") {
		return foldEmail(identifier)
	}
	return NormalizePhone(identifier)
}

// NormalizePhone returns a phone number without the blanks, dashes, dots, slashes, brackets and
// invisible characters that people write between its digits. 00 does not become +.
func NormalizePhone(phone string) string {
	short := strings.Map(func(r rune) rune {
		if strings.ContainsRune("./()[]{}\u2212", r) || unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) {
			return -1
		}
		return r
	}, phone)
	if short == "" {
		return phone
	}
	return short
}

// NormalizeEmail returns the form in which an e-mail address is stored. The case of an ASCII
// address stays, because every database can ignore it; that of others is folded.
func NormalizeEmail(email string) string {
	if !strings.ContainsFunc(email, func(r rune) bool { return r > unicode.MaxASCII }) {
		return email
	}
	return foldEmail(email)
}

// foldEmail folds the case of an address, and composes its letters.
func foldEmail(email string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(email)))
}
