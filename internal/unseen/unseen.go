// Package unseen names characters that people do not see, or do not notice, around tokens,
// secrets and URLs: line breaks, blanks, byte order marks, quotes.
package unseen

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// byteOrderMark is what some editors put before a text.
const byteOrderMark = '\ufeff'

// names has the names of characters that are easily overlooked.
var names = map[rune]string{
	0: "a NUL", '\t': "a tab", '\n': "a line break", '\r': "a carriage return", ' ': "a blank", '\u00a0': "a no-break space", '\u00ad': "a soft hyphen",
	'\u200b': "a zero-width space", '\u200c': "a zero-width non-joiner", '\u200d': "a zero-width joiner", '\u2060': "a word joiner",
	'\u2028': "a line separator", '\u2029': "a paragraph separator", '\u3000': "an ideographic space", byteOrderMark: "a BOM",
	'"': "a quote", '\'': "a quote", '`': "a backquote", '“': "a quote", '”': "a quote", '„': "a quote", '‘': "a quote", '’': "a quote", '«': "a quote", '»': "a quote",
	utf8.RuneError: "a byte that is no UTF-8",
}

// Name returns the name of a character with its code point, as in "a line break (U+000A)".
func Name(r rune) string {
	name, ok := names[r]
	switch {
	case ok:
	case unicode.IsSpace(r):
		name = "a blank"
	case unicode.IsControl(r):
		name = "a control character"
	case unicode.In(r, unicode.Cf):
		name = "an invisible character"
	default:
		name = "the character " + string(r)
	}
	return fmt.Sprintf("%s (U+%04X)", name, r)
}

// Is reports whether a character is one that does not belong to the ends of a token, a secret or
// a URL: white space, a control or invisible character, or a quote.
func Is(r rune) bool {
	_, named := names[r]
	return named || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf)
}

// Ends returns the text without such characters at its ends, and which there were, as in
// "a line break (U+000A) at its end"; "" if there is none. Quotes around a text are named as
// such.
func Ends(s string) (core, found string) {
	core = strings.TrimFunc(s, Is)
	before, after, _ := strings.Cut(s, core)
	if core == "" {
		before, after = s, ""
	}
	first, _ := utf8.DecodeRuneInString(before)
	last, _ := utf8.DecodeLastRuneInString(after)
	switch {
	case before == "" && after == "":
		return core, ""
	case len(before) == 1 && len(after) == 1 && first == last && strings.ContainsRune("\"'`", first):
		return core, fmt.Sprintf("quotes (U+%04X) around it", first)
	}
	var places []string
	if before != "" {
		places = append(places, list(before)+" before it")
	}
	if after != "" {
		places = append(places, list(after)+" after its end")
	}
	return core, strings.Join(places, ", and ")
}

// list names up to three characters.
func list(s string) string {
	var all []string
	for _, r := range s {
		if len(all) == 3 {
			all = append(all, "more")
			break
		}
		all = append(all, Name(r))
	}
	return strings.Join(all, ", ")
}

// errUTF16 contains nothing of the file.
var errUTF16 = errors.New("the file is in UTF-16, as the shell of Windows writes it: save it as UTF-8")

// File returns the text of a file with a secret: without a byte order mark and without line
// breaks at its end. The error contains nothing of the text.
func File(content []byte) (string, error) {
	if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) || len(content) > 3 && content[1] == 0 && content[3] == 0 {
		return "", errUTF16
	}
	return strings.TrimRight(strings.TrimPrefix(string(content), string(byteOrderMark)), "\r\n"), nil
}
