package dialect

import (
	"unicode"
	"unicode/utf8"
)

// timeLayout is the form of times in frames: that of Python's datetime.isoformat, in UTC.
const timeLayout = "2006-01-02T15:04:05.000000-07:00"

const hexDigits = "0123456789abcdef"

// isSpace reports whether Python's str.strip removes the character. Beside white space, these are
// the four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// appendPython appends the content of a JSON string, which is valid and comes without its quotes,
// as Python's json.dumps writes it: in ASCII. Halves of surrogate pairs stay as they are.
func appendPython(b, content []byte) []byte {
	for i := 0; i < len(content); {
		c := content[i]
		switch {
		case c == '\\' && content[i+1] == 'u':
			b = appendEscaped(b, hex4(content[i+2:i+6]))
			i += 6
		case c == '\\' && content[i+1] == '/':
			b = append(b, '/')
			i += 2
		case c == '\\':
			b = append(b, c, content[i+1])
			i += 2
		case c < 0x7f:
			b = append(b, c)
			i++
		default:
			r, size := utf8.DecodeRune(content[i:])
			b = appendEscaped(b, r)
			i += size
		}
	}
	return b
}

// appendEscaped appends a character in the form that json.dumps has for it.
func appendEscaped(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r >= 0x20 && r < 0x7f:
		return append(b, byte(r))
	case r == '\b':
		return append(b, '\\', 'b')
	case r == '\f':
		return append(b, '\\', 'f')
	case r == '\n':
		return append(b, '\\', 'n')
	case r == '\r':
		return append(b, '\\', 'r')
	case r == '\t':
		return append(b, '\\', 't')
	case r > 0xffff:
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(b, r)
}

// appendUnit appends the escape of one UTF-16 code unit.
func appendUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

func hex4(p []byte) (u rune) {
	for _, c := range p {
		u <<= 4
		if c <= '9' {
			u |= rune(c - '0')
		} else {
			u |= rune(c|0x20-'a') + 10
		}
	}
	return u
}
