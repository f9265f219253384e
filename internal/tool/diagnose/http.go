package diagnose

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// ask sends a plain request the way of the socket, to see who answers. What it
// answers is judged by the next step: a proxy may send sockets elsewhere.
func (w *walk) ask(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/ws/test/", nil)
	if err != nil {
		return "", err
	}
	w.originate(request.Header)
	began := w.Now()
	response, err := w.http.Do(request)
	switch {
	case err != nil:
		return "", w.unanswered(ctx, err)
	case response.StatusCode == http.StatusBadRequest && w.target.Scheme == "ws" && w.speaksTLS(ctx):
		_ = response.Body.Close()
		return "", w.plainOnTLS()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		w.clock(at.Add(time.Second/2), began) // it has whole seconds
	}
	return fmt.Sprintf("%s %d %s from %s", response.Proto, response.StatusCode, http.StatusText(response.StatusCode), answerer(response.Header)), nil
}

// answerer says who has answered, as far as the headers tell.
func answerer(h http.Header) string {
	who := "something that is not roomspa"
	if h.Get("Roomspa-Ref") != "" {
		who = "roomspa"
	}
	for _, name := range []string{"Server", "Via"} {
		if v := h.Get(name); v != "" {
			who += ", " + name + ": " + clip(v)
		}
	}
	return who
}

func (w *walk) originate(h http.Header) {
	if w.Origin != "" {
		h.Set("Origin", w.Origin)
	}
}

// unanswered says why there is no answer that can be read.
func (w *walk) unanswered(ctx context.Context, err error) *trouble {
	text := err.Error()
	if at := strings.Index(text, "malformed HTTP"); at >= 0 {
		if strings.Contains(text, `\x00\x00`) { // the head of an HTTP/2 SETTINGS frame (RFC 9113 §4.1)
			return &trouble{cause: "http_2_only", detail: "what answers begins to speak HTTP/2 at once"}
		}
		if w.target.Scheme == "ws" && w.speaksTLS(ctx) {
			return w.plainOnTLS()
		}
		return &trouble{cause: unexpected, detail: "the answer is not HTTP: " + clip(text[at:])}
	}
	if w.target.Scheme == "ws" && w.speaksTLS(ctx) {
		return w.plainOnTLS()
	}
	if !timedOut(err) && w.speaksHTTP2(ctx) {
		return &trouble{cause: "http_2_only", detail: w.hostPort() + " ends the connection without an answer, and answers HTTP/2"}
	}
	if timedOut(err) {
		return &trouble{cause: "no_answer", detail: fmt.Sprintf("%s takes the request and does not answer within %v", w.hostPort(), w.Timeout)}
	}
	return &trouble{cause: "no_answer", detail: w.hostPort() + " ends the connection without an answer: " + reasonOf(err)}
}

func (w *walk) plainOnTLS() *trouble {
	return &trouble{cause: "plain_on_tls_port", detail: w.hostPort() + " wants TLS, and the URL says ws://"}
}

// speaksTLS asks whether TLS would be answered, whoever's certificate it is.
func (w *walk) speaksTLS(ctx context.Context) bool {
	_, err := w.shake(ctx, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // only asked whether it is TLS
	return err == nil
}

// speaksHTTP2 asks whether HTTP/2 would be answered, without an upgrade to it.
func (w *walk) speaksHTTP2(ctx context.Context) bool {
	conn, err := w.dial(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if w.target.Scheme == "wss" {
		config := w.tlsConfig()
		config.NextProtos, config.ServerName = []string{"h2"}, w.target.Hostname()
		conn = tls.Client(conn, config)
	}
	_ = conn.SetDeadline(time.Now().Add(w.Timeout)) // without one the answer is waited for longer
	// The preface of a client, with empty SETTINGS (RFC 9113 §3.4); the answer begins with SETTINGS.
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return false
	}
	var head [9]byte
	_, err = io.ReadFull(conn, head[:])
	return err == nil && head[3] == 4 && head[0] == 0
}

// clock notes how far the server's clock is ahead of ours.
func (w *walk) clock(server, began time.Time) {
	w.skew, w.skewed = server.Sub(began.Add(w.Now().Sub(began)/2)), true
}

// refusal says what an HTTP answer means that came in the place of the upgrade.
func (w *walk) refusal(r *client.Refused) *trouble {
	t := &trouble{ref: r.Ref, detail: fmt.Sprintf("HTTP %d from %s", r.Status, answerer(r.Header))}
	ours := r.Header.Get("Roomspa-Ref") != ""
	if ours && r.Problem.Detail != "" {
		t.detail += ": " + r.Problem.Detail
	}
	t.cause = statusCause(r, ours)
	if base, err := url.Parse(w.base); !ours && r.Status == http.StatusNotFound && err == nil && base.Path == "" {
		// There is no prefix that could be wrong, so it is the host that leads nowhere: Traefik
		// takes an ingress without a ready replica for none at all.
		t.cause = "no_ready_replica"
		t.detail += "; it has no way to a replica for the host " + w.target.Hostname()
	}
	switch t.cause {
	case "redirect":
		t.detail += ": " + w.redirected(r.Header.Get("Location"))
	case "wrong_path_prefix":
		t.detail += ", for the path " + w.target.Path
	case "page_instead_of_socket":
		t.detail += ", " + clip(r.Header.Get("Content-Type"))
	}
	return t
}

// statusCause tells the wrong answers apart.
func statusCause(r *client.Refused, ours bool) string {
	says := func(text string) bool { return strings.Contains(r.Problem.Detail, text) }
	switch {
	case r.Status == http.StatusSwitchingProtocols: // the client did not find what it has to
		return "upgrade_stripped"
	case ours && r.Status == http.StatusServiceUnavailable:
		if says("shutting down") {
			return "draining"
		}
		return "busy"
	case ours && r.Status == http.StatusUpgradeRequired && says("HTTP/1.0"):
		return "http_1_0_proxy"
	case ours && r.Status == http.StatusUpgradeRequired: // we have sent a good one
		return "upgrade_stripped"
	case r.Status == http.StatusNotFound:
		return "wrong_path_prefix"
	case ours && r.Problem.Code != "":
		return r.Problem.Code
	}
	switch r.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return "redirect"
	case http.StatusBadGateway:
		return "bad_gateway"
	case http.StatusServiceUnavailable:
		return "no_ready_replica"
	case http.StatusGatewayTimeout:
		return "gateway_timeout"
	case http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
		return "http_2_only"
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return "proxy_refused"
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		return "proxy_refused"
	}
	if r.Status < 300 {
		return "page_instead_of_socket"
	}
	return unexpected
}

// redirected shows where to, without the query: it may hold a token.
func (w *walk) redirected(location string) string {
	place, _, _ := strings.Cut(location, "?")
	return "to " + clip(place)
}

func clip(s string) string {
	if len(s) > 120 {
		return strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}
