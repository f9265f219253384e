package diagnose

import (
	"context"
	"crypto/tls"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A greeting is how to find out which protocol a port speaks.
type greeting struct {
	protocol string
	overTLS  bool
	say      string
	answers  func(string) bool
}

// preface is a client's preface of HTTP/2 with empty SETTINGS (RFC 9113 §3.4). The answer begins
// with SETTINGS.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func greetings(host string) []greeting {
	begins := func(with ...string) func(string) bool {
		return func(s string) bool {
			return slices.ContainsFunc(with, func(w string) bool { return strings.HasPrefix(s, w) })
		}
	}
	settings := func(s string) bool { return len(s) >= 9 && s[3] == 4 && s[0] == 0 }
	return []greeting{
		{"http2", false, preface, settings},
		{"http2", true, preface, settings},
		{"redis", false, "PING\r\n", begins("+PONG", "-NOAUTH", "-DENIED", "-ERR", "-LOADING")},
		{"postgres", false, "\x00\x00\x00\x08\x04\xd2\x16\x2f", func(s string) bool { return s == "S" || s == "N" }}, // SSLRequest
		{"proxy_protocol", false, "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\nGET /ws/test/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n", func(s string) bool {
			return strings.HasPrefix(s, "HTTP/1.") && strings.Contains(strings.ToLower(s), "roomspa-ref")
		}},
		{"ssh", false, "", begins("SSH-")},
		{"smtp or ftp", false, "", begins("220 ", "220-")},
		{"mysql", false, "", func(s string) bool { return len(s) > 5 && s[3] == 0 && s[4] == 10 }},
	}
}

// findProtocol finds out what the port speaks, when it does not answer as it should.
func (w *walk) findProtocol(ctx context.Context) {
	var wg sync.WaitGroup
	add := func(protocol string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.Contains(w.facts.Speaks, protocol) {
			w.facts.Speaks = append(w.facts.Speaks, protocol)
			slices.Sort(w.facts.Speaks)
		}
	}
	if !w.facts.TLS {
		wg.Go(func() {
			if _, err := w.handshakeTLS(ctx, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}); err == nil { //nolint:gosec // nothing is sent
				add("tls")
			}
		})
	}
	for _, g := range greetings(w.target.Host) {
		if g.overTLS != (w.facts.TLS && g.protocol == "http2") {
			continue
		}
		wg.Go(func() {
			if g.answers(w.greet(ctx, g)) {
				add(g.protocol)
			}
		})
	}
	wg.Wait()
}

// greet says what opens a protocol and returns the beginning of the answer.
func (w *walk) greet(ctx context.Context, g greeting) string {
	conn, err := w.dialTo(ctx, w.address(0))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(w.Timeout / 2)) // a connection that takes no deadline ends with the server's
	if g.overTLS {
		config := w.tlsConfig()
		config.NextProtos = []string{"h2"}
		conn = tls.Client(conn, config)
	}
	if _, err := io.WriteString(conn, g.say); err != nil {
		return ""
	}
	head := make([]byte, 512)
	n, _ := conn.Read(head) // what was read before an error counts
	for n > 0 && n < 9 && g.protocol == "http2" {
		more, err := conn.Read(head[n:])
		if n += more; err != nil {
			break
		}
	}
	return string(head[:n])
}
