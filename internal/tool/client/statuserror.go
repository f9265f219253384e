package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Problem is an RFC 9457 problem document.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Ref    string `json:"ref"`
}

// A StatusError is an unexpected HTTP response: anything but 101 to a handshake, anything
// but 200 to a sign-in. It may come from a proxy.
type StatusError struct {
	Status int
	// Problem is the body, if that is a problem document.
	Problem Problem
	// Ref is the server's reference. It is empty if the response is not roomspa's.
	Ref string
	// RetryAfter is the delay that the response asks for, 0 for none.
	RetryAfter time.Duration
	Header     http.Header
	// Body is the beginning of the body: of a refused handshake at most 1,024 bytes.
	Body string
}

func newStatusError(r *http.Response) *StatusError {
	e := &StatusError{Status: r.StatusCode, RetryAfter: retryAfter(r.Header, time.Now()), Header: r.Header}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // a part is better than nothing
	e.Body = string(body[:min(len(body), 1024)])
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		e.Problem = parseProblem(body)
	}
	e.Ref = cmp.Or(r.Header.Get("Roomspa-Ref"), e.Problem.Ref)
	return e
}

// Error returns the status, the cause and the reference in one line, or who answered if
// there is no reference.
func (r *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d %s", r.Status, http.StatusText(r.Status))
	switch p := r.Problem; {
	case p.Detail != "" && p.Code != "":
		fmt.Fprintf(&b, ": %s: %s", p.Code, strings.TrimSuffix(p.Detail, "."))
	case p.Detail != "" || p.Title != "":
		b.WriteString(": " + strings.TrimSuffix(cmp.Or(p.Detail, p.Title), "."))
	}
	switch server := r.Header.Get("Server"); {
	case r.Ref != "":
		b.WriteString(" (ref " + r.Ref + ")")
	case server != "":
		b.WriteString(" (not from roomspa, since there is no reference; answered by " + server + ")")
	default:
		b.WriteString(" (not from roomspa but from a proxy in front of it, since there is no reference)")
	}
	return b.String()
}

// parseProblem decodes a problem document, even a truncated one: gorilla keeps only the
// first 1,024 bytes of the response to a failed handshake.
func parseProblem(body []byte) Problem {
	var p Problem
	if json.Unmarshal(body, &p) == nil {
		return p
	}
	fields := map[string]*string{"type": &p.Type, "title": &p.Title, "detail": &p.Detail, "code": &p.Code, "ref": &p.Ref}
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return Problem{}
	}
	for {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return p
		}
		var value any
		if d.Decode(&value) != nil {
			return p
		}
		if text, ok := value.(string); ok && fields[name] != nil {
			*fields[name] = text
		}
	}
}

// retryAfter parses the header Retry-After in both its forms, seconds and a date (RFC
// 9110 §10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
