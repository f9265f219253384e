package world

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// plain never reuses a connection, so that none is left at the end, and follows no redirect.
var plain = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Get asks for a page.
func Get(t testing.TB, address string) (status int, header http.Header, body []byte) {
	t.Helper()
	res, body := Ask(t, http.MethodGet, address, "")
	return res.StatusCode, res.Header, body
}

// Request sends a request to the public listener, with a token if it is not empty. Headers come in pairs of name and
// value.
func (r *Replica) Request(t testing.TB, method, path, token, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	if token != "" {
		headers = append([]string{"Authorization", "Bearer " + token}, headers...)
	}
	return Ask(t, method, "http://"+r.addr+path, body, headers...)
}

// Ask sends a request. Headers come in pairs of name and value.
func Ask(t testing.TB, method, address, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, answer
}

// Raw sends a request line and headers as they are, which no client library would do: they normalise paths and headers.
// After an upgrade the body is what the server writes until its Close, as RFC 6455 frames.
func (r *Replica) Raw(t testing.TB, lines ...string) (*http.Response, []byte) {
	t.Helper()
	return r.RawThen(t, "", lines...)
}

// RawThen is Raw, and sends more bytes after the upgrade.
func (r *Replica) RawThen(t testing.TB, wire string, lines ...string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(Limit))
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		_, _ = io.WriteString(conn, wire) // the server may hang up before it has read everything
		return res, readFrames(from)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// readFrames reads frames until a Close or the end of the connection.
func readFrames(from *bufio.Reader) (wire []byte) {
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(from, head); err != nil {
			return wire
		}
		n := int(head[1])
		if n == 126 {
			head = append(head, 0, 0)
			_, _ = io.ReadFull(from, head[2:])
			n = int(head[2])<<8 | int(head[3])
		}
		payload := make([]byte, n)
		_, _ = io.ReadFull(from, payload)
		if wire = append(append(wire, head...), payload...); head[0]&15 == 8 {
			return wire
		}
	}
}

// ParseRefusal takes an error frame and a Close from the bytes that Raw returns. A server does not mask its frames.
func ParseRefusal(t testing.TB, wire []byte) (g Frame, code int, reason string) {
	t.Helper()
	frame := func(opcode byte) []byte {
		if len(wire) < 2 || wire[0] != 0x80|opcode {
			t.Fatalf("want a frame of opcode %d, got % x", opcode, wire)
		}
		n, at := int(wire[1]), 2
		if n == 126 {
			n, at = int(wire[2])<<8|int(wire[3]), 4
		}
		payload := wire[at : at+n]
		wire = wire[at+n:]
		return payload
	}
	g.Raw = string(frame(1))
	if err := json.Unmarshal([]byte(g.Raw), &g); err != nil {
		t.Fatal(err)
	}
	c := frame(8)
	return g, int(c[0])<<8 | int(c[1]), string(c[2:])
}

// Upgrade returns the lines of a good opening handshake, and more of them.
func Upgrade(target string, more ...string) []string {
	return append([]string{
		"GET " + target + " HTTP/1.1", "Host: example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, more...)
}

// Without leaves a header out.
func Without(lines []string, name string) []string {
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
}

// Problem is a problem document (RFC 9457).
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Code   string   `json:"code"`
	Detail string   `json:"detail"`
	Ref    string   `json:"ref"`
	Paths  []string `json:"paths"`
}

var refForm = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{16}$`)

// ExpectProblem requires an answer before the upgrade to have a status and to be a whole problem document.
func ExpectProblem(t testing.TB, res *http.Response, body []byte, status int) Problem {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", res.StatusCode, status, body)
	}
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type is %q", ct)
	}
	if p.Status != status || p.Type == "" || p.Title == "" || p.Code == "" || p.Detail == "" {
		t.Errorf("a problem document has a type, a title, the status, a code and a detail: %s", body)
	}
	if ref := res.Header.Get("Roomspa-Ref"); !refForm.MatchString(ref) || p.Ref != ref {
		t.Errorf("Roomspa-Ref is %q, the document's ref %q", ref, p.Ref)
	}
	if l := res.Header.Get("Location"); l != "" {
		t.Errorf("a redirect to %q", l)
	}
	return p
}
