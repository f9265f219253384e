package diagnose

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// requestHTTP sends a plain HTTP request to the endpoint and reports who answers. Any response is
// well: a proxy may route WebSocket handshakes elsewhere.
func (w *walk) requestHTTP(ctx context.Context) result {
	a, _ := w.request(ctx, Attempt{Probe: "http", Path: "/ws/test/"}, http.MethodGet, nil, "")
	a.OK = a.Status != 0
	a = w.record(ctx, a)
	if !a.OK {
		return failed("%s %s", net.JoinHostPort(w.facts.Host, w.facts.Port), a.result())
	}
	r := passed("HTTP %d %s from %s", a.Status, http.StatusText(a.Status), a.who())
	r.median, r.limit = time.Duration(a.MS*float64(time.Millisecond)), 500*time.Millisecond
	return r
}

// request sends one HTTP request, which follows no redirect, and returns the body of the response.
func (w *walk) request(ctx context.Context, a Attempt, method string, header http.Header, body string) (Attempt, []byte) {
	return w.requestWith(ctx, a, method, header, body, w.tlsConfig())
}

func (w *walk) requestWith(ctx context.Context, a Attempt, method string, header http.Header, body string, config *tls.Config) (Attempt, []byte) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	base := w.base
	if strings.HasPrefix(a.Path, "http") {
		base = ""
	}
	request, err := http.NewRequestWithContext(ctx, method, base+a.Path, strings.NewReader(body))
	if err != nil {
		a.Error, a.Text = "closed", "the request cannot be made"
		return a, nil
	}
	if header != nil {
		request.Header = header
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if a.Address == "" {
		a.Address = w.address(0)
	}
	transport := &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // only HTTP/1.1, like WebSocket clients
		DialContext:  func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dialTo(ctx, a.Address) },
	}
	began := w.Now()
	response, err := transport.RoundTrip(request)
	a.MS = sinceMS(began, w.Now())
	if err != nil {
		a.Error, a.Text = w.classify(ctx, err)
		return a, nil
	}
	defer func() { _ = response.Body.Close() }()
	raw, _ := io.ReadAll(io.LimitReader(response.Body, 512<<10)) // a part is better than nothing
	a.setResponse(response.StatusCode, response.Header, string(raw))
	var problem client.Problem
	if a.Ours && response.StatusCode >= 400 && json.Unmarshal(raw, &problem) == nil {
		a.Code, a.Detail = problem.Code, problem.Detail
	}
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		w.setSkew(at.Add(time.Second/2), began, false) // the header has whole seconds
	}
	return a, raw
}

// setResponse records the parts of a response that matter.
func (a *Attempt) setResponse(status int, h http.Header, body string) {
	a.Status, a.Header, a.Ref = status, keepHeaders(h), h.Get("Roomspa-Ref")
	a.Ours, a.Replica = a.Ref != "", truncate(h.Get(replicaHeader))
	if !a.Ours {
		if len(body) > 200 {
			body = body[:200]
		}
		a.Body = logging.Printable(strings.Join(strings.Fields(strings.ToValidUTF8(body, "?")), " "), " ")
	}
}

// classify returns the word and the text for a request without a usable response.
func (w *walk) classify(ctx context.Context, err error) (word, text string) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "timeout", ""
	}
	word = errorWord(err)
	switch word {
	case "not_http", "tls", "closed":
		text = errorText(err)
	}
	if word == "tls" && w.certificateWanted.Load() {
		text += "; the server asked for a client certificate"
	}
	return word, text
}

func sinceMS(began, now time.Time) float64 { return float64(now.Sub(began).Microseconds()) / 1000 }

// setSkew records how far the server's clock is ahead of ours. began is when the request
// was sent. An exact time replaces one that is not.
func (w *walk) setSkew(server, began time.Time, exact bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.facts.SkewMS != nil && !exact {
		return
	}
	ms := server.Sub(began.Add(w.Now().Sub(began) / 2)).Milliseconds()
	w.facts.SkewMS = &ms
}

// errorText returns the text of an error without the URL, which may hold a token.
func errorText(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := err.Error()
	if at := strings.Index(text, "malformed HTTP"); at >= 0 {
		text = text[at:]
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ""
	}
	return truncate(logging.Printable(text, " "))
}

// truncate shortens text of another party.
func truncate(s string) string {
	if len(s) > 120 {
		return strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}

// compareClocks compares this machine's clock with the server's. A client with a wrong
// clock misjudges the expiry of tokens.
func (w *walk) compareClocks(context.Context) result {
	if w.facts.SkewMS == nil {
		return result{}
	}
	text := skewText(*w.facts.SkewMS)
	if time.Duration(*w.facts.SkewMS).Abs()*time.Millisecond > maxSkew {
		return failed("%s", text)
	}
	return passed("%s", text)
}

// testRoutes asks for each path of clients that no other step will ask for, to see whether the
// proxy sends it to roomspa. Without a token, and without an upgrade, roomspa refuses all of them.
func (w *walk) testRoutes(ctx context.Context) result {
	paths := []string{"/ws/inbox/", "/login/", "/token/refresh/"}
	if w.Token == "" && w.Identifier == "" || !w.reached() {
		paths = append(paths, "/ws/chat/", "/ws/location/", "/api/ticket/", "/api/conversations/")
	}
	all := repeat(ctx, len(paths), 4, func(i int) (Attempt, bool) {
		a, _ := w.request(ctx, Attempt{Probe: "routes", Path: paths[i]}, http.MethodGet, nil, "")
		a.OK = a.Ours
		return w.record(ctx, a), true
	})
	if lost := describe(&Facts{Attempts: all}, failures(all)); len(lost) > 0 {
		return failed("%s", strings.Join(lost, "; "))
	}
	return passed("%s reach roomspa", strings.Join(paths, " "))
}
