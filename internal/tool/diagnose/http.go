package diagnose

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// requestHTTP sends a plain HTTP request to the endpoint and reports who answers. It does
// not judge the status, since a proxy may route WebSocket handshakes elsewhere.
func (d *diagnosis) requestHTTP(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/ws/test/", nil)
	if err != nil {
		return "", err
	}
	d.setOrigin(request.Header)
	began := d.Now()
	response, err := d.http.Do(request)
	switch {
	case err != nil:
		return "", d.responseProblem(ctx, err)
	case response.StatusCode == http.StatusBadRequest && d.target.Scheme == "ws" && d.speaksTLS(ctx):
		_ = response.Body.Close()
		return "", d.plainOnTLS()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		d.setSkew(at.Add(time.Second/2), began) // the header has whole seconds
	}
	return fmt.Sprintf("%s %d %s from %s", response.Proto, response.StatusCode, http.StatusText(response.StatusCode), responder(response.Header)), nil
}

// responder describes who answered, as far as the headers tell.
func responder(h http.Header) string {
	who := "a server that is not roomspa"
	if h.Get("Roomspa-Ref") != "" {
		who = "roomspa"
	}
	for _, name := range []string{"Server", "Via"} {
		if v := h.Get(name); v != "" {
			who += ", " + name + ": " + truncate(v)
		}
	}
	return who
}

func (d *diagnosis) setOrigin(h http.Header) {
	if d.Origin != "" {
		h.Set("Origin", d.Origin)
	}
}

// responseProblem explains why there is no readable response.
func (d *diagnosis) responseProblem(ctx context.Context, err error) *problem {
	text := err.Error()
	if at := strings.Index(text, "malformed HTTP"); at >= 0 {
		if strings.Contains(text, `\x00\x00`) { // the beginning of an HTTP/2 SETTINGS frame (RFC 9113 §4.1)
			return &problem{cause: "http_2_only", detail: d.hostPort() + " speaks HTTP/2 from the first byte on"}
		}
		if d.target.Scheme == "ws" && d.speaksTLS(ctx) {
			return d.plainOnTLS()
		}
		return &problem{cause: unexpected, detail: "the response is not HTTP: " + truncate(text[at:])}
	}
	if d.target.Scheme == "ws" && d.speaksTLS(ctx) {
		return d.plainOnTLS()
	}
	if isTimeout(err) {
		return &problem{cause: "no_answer", detail: fmt.Sprintf("%s accepted the request but did not answer within %v", d.hostPort(), d.Timeout)}
	}
	if d.speaksHTTP2(ctx) {
		return &problem{cause: "http_2_only", detail: d.hostPort() + " closed the connection without a response, and answers HTTP/2"}
	}
	return &problem{cause: "no_answer", detail: d.hostPort() + " closed the connection without a response: " + errorText(err)}
}

func (d *diagnosis) plainOnTLS() *problem {
	return &problem{cause: "plain_on_tls_port", detail: d.hostPort() + " expects TLS, but the URL begins with ws://"}
}

// speaksTLS reports whether the server completes a TLS handshake, with any certificate.
func (d *diagnosis) speaksTLS(ctx context.Context) bool {
	_, err := d.handshakeTLS(ctx, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // nothing is sent
	return err == nil
}

// speaksHTTP2 reports whether the server answers the connection preface of HTTP/2.
func (d *diagnosis) speaksHTTP2(ctx context.Context) bool {
	conn, err := d.dial(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if d.target.Scheme == "wss" {
		config := d.tlsConfig()
		config.NextProtos, config.ServerName = []string{"h2"}, d.target.Hostname()
		conn = tls.Client(conn, config)
	}
	_ = conn.SetDeadline(time.Now().Add(d.Timeout)) // a connection that takes no deadline ends with the server's
	// A client's preface with empty SETTINGS (RFC 9113 §3.4). The answer begins with SETTINGS.
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return false
	}
	var head [9]byte
	_, err = io.ReadFull(conn, head[:])
	return err == nil && head[3] == 4 && head[0] == 0
}

// setSkew records how far the server's clock is ahead of ours. began is when the request
// was sent.
func (d *diagnosis) setSkew(server, began time.Time) {
	d.skew, d.skewKnown = server.Sub(began.Add(d.Now().Sub(began)/2)), true
}

// statusProblem explains an HTTP response that came instead of the upgrade.
func (d *diagnosis) statusProblem(e *client.StatusError) *problem {
	p := &problem{ref: e.Ref, detail: fmt.Sprintf("HTTP %d from %s", e.Status, responder(e.Header))}
	ours := e.Header.Get("Roomspa-Ref") != ""
	if ours && e.Problem.Detail != "" {
		p.detail += ": " + e.Problem.Detail
	}
	p.cause = statusCause(e, ours)
	if base, err := url.Parse(d.base); !ours && e.Status == http.StatusNotFound && err == nil && base.Path == "" {
		// The URL has no prefix that could be wrong, so a proxy has no route for the host.
		// Traefik drops the route of an ingress without a ready replica.
		p.cause = "no_ready_replica"
		p.detail += "; it has no route to a replica for the host " + d.target.Hostname()
	}
	switch p.cause {
	case "redirect":
		location, _, _ := strings.Cut(e.Header.Get("Location"), "?") // the query may hold a token
		p.detail += ": to " + truncate(location)
	case "wrong_path_prefix":
		p.detail += ", for the path " + d.target.Path
	case "page_instead_of_socket":
		p.detail += ", " + truncate(e.Header.Get("Content-Type"))
	}
	return p
}

// statusCause returns the cause of an HTTP response that came instead of the upgrade. ours
// is true if roomspa sent it.
func statusCause(e *client.StatusError, ours bool) string {
	says := func(text string) bool { return strings.Contains(e.Problem.Detail, text) }
	switch {
	case e.Status == http.StatusSwitchingProtocols: // but without the headers that the client expects
		return "upgrade_stripped"
	case ours && e.Status == http.StatusServiceUnavailable:
		if says("shutting down") {
			return "draining"
		}
		return "busy"
	case ours && e.Status == http.StatusUpgradeRequired && says("HTTP/1.0"):
		return "http_1_0_proxy"
	case ours && e.Status == http.StatusUpgradeRequired: // although we sent a valid upgrade
		return "upgrade_stripped"
	case e.Status == http.StatusNotFound:
		return "wrong_path_prefix"
	case ours && e.Problem.Code != "":
		return e.Problem.Code
	}
	switch e.Status {
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
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired,
		http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		return "proxy_refused"
	}
	if e.Status < 300 {
		return "page_instead_of_socket"
	}
	return unexpected
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// errorText returns the text of an error without the URL, which may hold a token.
func errorText(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	return truncate(err.Error())
}

// truncate shortens text of another party.
func truncate(s string) string {
	if len(s) > 120 {
		return strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}
