package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/problem"
)

// maxBody is the maximum size of a request body in bytes.
const maxBody = 4 << 10

// readJSON decodes the body of a POST request. It ignores unknown members, because newer apps
// may send more.
func readJSON(w http.ResponseWriter, r *http.Request, into any) *failure {
	if fail := requirePost(w, r); fail != nil {
		return fail
	}
	return readBody(w, r, maxBody, into)
}

// requirePost returns a failure for methods other than POST.
func requirePost(w http.ResponseWriter, r *http.Request) *failure {
	if r.Method == http.MethodPost {
		return nil
	}
	w.Header().Set("Allow", http.MethodPost)
	return newFailure(http.StatusMethodNotAllowed, "method_not_allowed", "Send a POST.")
}

// readBody decodes a body of up to limit bytes, as readJSON does.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, into any) *failure {
	body, fail := receiveJSON(w, r, limit)
	if fail != nil {
		return fail
	}
	return decode(body, into)
}

// receiveJSON returns a body of up to limit bytes that is declared as JSON.
func receiveJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *failure) {
	if !declaresJSON(r) {
		return nil, newFailure(http.StatusUnsupportedMediaType, "not_json", "Send the body as JSON, with the header Content-Type: application/json.")
	}
	return receive(w, r, limit)
}

// declaresJSON reports whether the Content-Type is JSON, or a kind of it (RFC 6839 §3.1).
// Parameters do not count, however they are written: JSON has none.
func declaresJSON(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || media == "text/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// looksLikeJSON reports whether a body is an object, and no form.
func looksLikeJSON(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff"))), []byte("{"))
}

// receive returns a body of up to limit bytes.
func receive(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *failure) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, newFailure(http.StatusRequestEntityTooLarge, "too_large", "The body has more than "+strconv.FormatInt(limit, 10)+" bytes.")
	}
	if err != nil {
		return nil, newFailure(http.StatusBadRequest, "body_unread", "The body was not received completely; send the request again.")
	}
	return body, nil
}

// decode decodes JSON.
func decode(body []byte, into any) *failure {
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // a byte order mark, which RFC 8259 §8.1 allows to ignore
	// encoding/json would replace invalid UTF-8 by U+FFFD without an error.
	if !utf8.Valid(body) {
		return newFailure(http.StatusBadRequest, "bad_json", "The body is not UTF-8 (RFC 8259 §8.1).")
	}
	if err := json.Unmarshal(body, into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
			must := "a string"
			switch wrong.Type.Kind() { //nolint:exhaustive // the others are strings
			case reflect.Bool:
				must = "true or false"
			case reflect.Int64:
				must = "an integer"
			case reflect.Slice:
				must = "an array"
			}
			return badField(wrong.Field, "must be "+must+", got "+wrong.Value)
		}
		return newFailure(http.StatusBadRequest, "bad_json", "The body must be one JSON object with nothing after it.")
	}
	return nil
}

// newFailure returns a failure whose cause in the log is its code.
func newFailure(status int, code, detail string) *failure {
	return &failure{Problem: problem.Problem{Status: status, Code: code, Detail: detail}, cause: code}
}

// badField returns the failure for an invalid member or parameter. It does not contain the
// value.
func badField(field, must string) *failure {
	fail := newFailure(http.StatusBadRequest, "bad_field", field+" "+must+".")
	fail.More = map[string]any{"field": field}
	fail.cause += " " + field
	return fail
}
