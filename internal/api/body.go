package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/problem"
)

// maxBody bounds a request's body in bytes.
const maxBody = 4 << 10

// readJSON reads the body of a POST into a struct. Members that the struct does
// not have are ignored, so that an app may send more than this version knows.
func readJSON(w http.ResponseWriter, r *http.Request, into any) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "Send a POST.")
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "not_json", "Send the body as JSON, with the header Content-Type: application/json.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return refuse(http.StatusRequestEntityTooLarge, "too_large", "The body has more than "+strconv.Itoa(maxBody)+" bytes; send only what is asked for.")
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "body_unread", "The body did not arrive whole; send it again.")
	}
	// encoding/json would turn what is not UTF-8 into U+FFFD without a word.
	if !utf8.Valid(body) {
		return refuse(http.StatusBadRequest, "bad_json", "The body is not UTF-8; JSON is (RFC 8259 §8.1).")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			must := "a string"
			if wrong.Type.Kind() == reflect.Bool {
				must = "true or false"
			}
			return badField(wrong.Field, "must be "+must+", not a "+wrong.Value)
		}
		return refuse(http.StatusBadRequest, "bad_json", "The body is not one JSON object; send one, with nothing behind it.")
	}
	return nil
}

// refuse makes a refusal whose cause in the log is its code.
func refuse(status int, code, detail string) *refusal {
	return &refusal{Problem: problem.Problem{Status: status, Code: code, Detail: detail}, cause: code}
}

// badField refuses one member of the body. It never repeats the member's value.
func badField(field, must string) *refusal {
	no := refuse(http.StatusBadRequest, "bad_field", field+" "+must+".")
	no.More = map[string]any{"field": field}
	no.cause += " " + field
	return no
}
