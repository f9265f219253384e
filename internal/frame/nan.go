package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
)

// A number is a JSON number. One that is larger than any float64 is infinite, so that it is
// refused as out of range.
type number float64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(text []byte) error {
	err := json.Unmarshal(text, (*float64)(n))
	if f, parsed := strconv.ParseFloat(string(text), 64); errors.Is(parsed, strconv.ErrRange) {
		*n = number(f)
		return nil
	}
	return err //nolint:wrapcheck // the caller looks at its type
}

// noNumber matches a string, or what is no JSON but is written for a value that is no number.
var noNumber = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[-+]?\b(?:NaN|Infinity|nan|inf)\b`)

// NullNaN returns a JSON text in which NaN and Infinity are null. Many programs write them for
// numbers that are not known, although JSON has none (RFC 8259 §6). Strings stay as they are.
func NullNaN(text []byte) []byte {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("nan")) && !bytes.Contains(text, []byte("nf")) {
		return text
	}
	return noNumber.ReplaceAllFunc(text, func(found []byte) []byte {
		if found[0] == '"' {
			return found
		}
		return []byte("null")
	})
}
