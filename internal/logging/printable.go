package logging

import (
	"strconv"
	"strings"
	"unicode"
)

// Printable makes text of another party safe to show on a terminal. It escapes control
// characters and characters that reorder a line, replaces tabs by spaces and line breaks
// by newline.
func Printable(text, newline string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteString(newline)
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
