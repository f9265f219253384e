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

// Refused is an HTTP answer that is not the one asked for: to a handshake
// anything but 101, to a log-in anything but 200. It may come from a proxy.
type Refused struct {
	Status int
	// Problem is the body where it is a problem document, else empty.
	Problem Problem
	// Body is the beginning of the body, as text.
	Body string
	// Ref is the server's reference; where it is empty the answer is not ours.
	Ref string
	// RetryAfter is the delay that the server asked for, 0 for none.
	RetryAfter time.Duration
	// Server is the header of that name: it often tells which proxy answered.
	Server string
	Header http.Header
}

func newRefused(r *http.Response) *Refused {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // a cut body is still worth showing
	refused := &Refused{
		Status:     r.StatusCode,
		Body:       strings.ToValidUTF8(string(body), "�"),
		Ref:        r.Header.Get("Roomspa-Ref"),
		RetryAfter: retryAfter(r.Header, time.Now()),
		Server:     r.Header.Get("Server"),
		Header:     r.Header,
	}
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		refused.Problem = parseProblem(body)
	}
	if refused.Ref == "" {
		refused.Ref = refused.Problem.Ref
	}
	return refused
}

// Error says status, cause, who answered and the reference in one line.
func (r *Refused) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP %d %s", r.Status, http.StatusText(r.Status))
	switch p := r.Problem; {
	case p.Detail != "" && p.Code != "":
		fmt.Fprintf(&b, ": %s: %s", p.Code, strings.TrimSuffix(p.Detail, "."))
	case p.Detail != "" || p.Title != "":
		b.WriteString(": " + strings.TrimSuffix(cmp.Or(p.Detail, p.Title), "."))
	}
	switch {
	case r.Ref != "":
		b.WriteString(" (ref " + r.Ref + ")")
	case r.Server != "":
		b.WriteString(" (no reference, so not from roomspa; answered by " + r.Server + ")")
	default:
		b.WriteString(" (no reference, so not from roomspa but from something in front of it)")
	}
	return b.String()
}

// parseProblem reads as much of a problem document as there is: gorilla keeps
// only the first 1,024 bytes of the body of a refused handshake.
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

// retryAfter reads the header in both its forms, seconds or a date (RFC 9110
// §10.2.3).
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
