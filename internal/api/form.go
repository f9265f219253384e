package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// readFields is [readJSON] for requests whose body may also be a form, URL-encoded or multipart, as
// clients of Django send it. Of several fields with a name the last one counts; files are ignored.
// JSON that is declared as a URL-encoded form, as curl does it by default, is read as JSON.
func readFields(w http.ResponseWriter, r *http.Request, into any) *failure {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.Method != http.MethodPost || media != "application/x-www-form-urlencoded" && media != "multipart/form-data" {
		return readJSON(w, r, into)
	}
	body, fail := receive(w, r, maxBody)
	if fail != nil {
		return fail
	}
	if media != "multipart/form-data" && looksLikeJSON(body) {
		return decode(body, into)
	}
	var form url.Values
	if media == "multipart/form-data" {
		var parts *multipart.Form
		if parts, err = multipart.NewReader(bytes.NewReader(body), parameters["boundary"]).ReadForm(maxBody); err == nil {
			form = parts.Value
			_ = parts.RemoveAll()
		}
	} else {
		form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		return newFailure(http.StatusBadRequest, "bad_form", "The body is not the form that its Content-Type says.")
	}
	return decodeForm(form, into)
}

// decodeForm decodes a form like a JSON object of strings. The field everywhere is a switch.
func decodeForm(form url.Values, into any) *failure {
	fields := map[string]any{}
	for name, values := range form {
		value := values[len(values)-1]
		if !utf8.ValidString(value) {
			return newFailure(http.StatusBadRequest, "bad_form", "A field of the form is not UTF-8.")
		}
		if fields[name] = value; name == "everywhere" {
			fields[name] = value == "true" || value == "on" || value == "1"
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return internalFailure(err)
	}
	return decode(body, into)
}
