package auth

import (
	"bytes"
	"encoding/json"
	"iter"
)

// members goes through the members of a JSON object, with their values as they
// are written. Of two with one name, the last is the one that counts (RFC 7519
// §4). text must be valid JSON and an object: this is no check.
//
// It stands for json.Unmarshal into a map, which makes some 20 allocations of a
// token's claims, and into a struct, which takes "USER_ID" for "user_id".
func members(text []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := bytes.IndexByte(text, '{') + 1
		for {
			i = skipSpace(text, i)
			if text[i] == '}' {
				return
			}
			if text[i] == ',' {
				i = skipSpace(text, i+1)
			}
			end := valueEnd(text, i)
			name := text[i+1 : end-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				unquoted, _ := unquote(text[i:end])
				name = []byte(unquoted)
			}
			i = skipSpace(text, skipSpace(text, end)+1) // over the colon
			end = valueEnd(text, i)
			if !yield(name, text[i:end]) {
				return
			}
			i = end
		}
	}
}

func skipSpace(text []byte, i int) int {
	for text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r' {
		i++
	}
	return i
}

// valueEnd returns where the value ends that begins at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of the object around a number or a word
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// unquote returns the string that a JSON value is, if it is one.
func unquote(value []byte) (string, bool) {
	switch {
	case value[0] != '"':
		return "", false
	case bytes.IndexByte(value, '\\') < 0:
		return string(value[1 : len(value)-1]), true
	default:
		var escaped string // apart, so that only here it is on the heap
		err := json.Unmarshal(value, &escaped)
		return escaped, err == nil
	}
}
