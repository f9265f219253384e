package room

import (
	"regexp"
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

var (
	// international matches a number with the prefix of international calls, 00. A number that is
	// shorter could be an extension, and no country code begins with 0. None is longer (ITU-T E.164).
	international = regexp.MustCompile(`^00([1-9][0-9]{7,14})$`)
	// trunkPrefix matches the 0 in brackets behind a country code. It is not dialled there.
	trunkPrefix = regexp.MustCompile(`^[(\[]?((?:\+|00)[1-9][0-9]{0,2})[)\]]?[(\[]0[)\]]`)
)

// NormalizePhone returns a phone number in one form, however people type it: without the blanks,
// dashes, dots, slashes, brackets and invisible characters between its digits, with ASCII digits,
// and with + in place of 00.
func NormalizePhone(phone string) string {
	return international.ReplaceAllString(compactPhone(phone, true), "+$1")
}

// PhoneForms returns the forms in which a phone number that somebody typed may be stored: that of
// [NormalizePhone], that with 00 in place of +, and that as it was typed, without blanks and
// brackets. SQL and earlier builds have stored the latter.
func PhoneForms(phone string) [3]string {
	normal := NormalizePhone(phone)
	zeros := normal
	if rest, ok := strings.CutPrefix(normal, "+"); ok {
		zeros = "00" + rest
	}
	return [3]string{normal, zeros, compactPhone(phone, false)}
}

// compactPhone removes from a phone number what is no part of it.
func compactPhone(phone string, trunk bool) string {
	remove := func(drop func(rune) bool) {
		phone = strings.Map(func(r rune) rune {
			if drop(r) {
				return -1
			}
			return asciiDigit(r)
		}, phone)
	}
	before := phone
	phone = norm.NFKC.String(phone) // full-width digits and signs
	remove(func(r rune) bool {
		return strings.ContainsRune("./\u2212", r) || unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf)
	})
	if m := trunkPrefix.FindStringSubmatch(phone); trunk && m != nil && !strings.HasSuffix(m[1], "39") { // Italy dials it
		phone = m[1] + phone[len(m[0]):]
	}
	remove(func(r rune) bool { return strings.ContainsRune("()[]{}", r) })
	if phone == "" {
		return before
	}
	return phone
}

// asciiDigit returns the ASCII digit for a decimal digit of another script, or r.
func asciiDigit(r rune) rune {
	if r > unicode.MaxASCII && unicode.Is(unicode.Nd, r) {
		for _, block := range unicode.Nd.R16 { // each begins with a zero
			if rune(block.Lo) <= r && r <= rune(block.Hi) {
				return '0' + (r-rune(block.Lo))%10
			}
		}
	}
	return r
}

// NormalizeEmail returns the form in which an e-mail address is stored. The case of an ASCII
// address stays, because every database can ignore it; that of others is folded.
func NormalizeEmail(email string) string {
	if !strings.ContainsFunc(email, func(r rune) bool { return r > unicode.MaxASCII }) {
		return email
	}
	return foldEmail(email)
}

// foldEmail folds the case of an address, and composes its letters. It removes invisible
// characters, which come with an address that was copied from elsewhere.
func foldEmail(email string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, email)
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(visible)))
}
