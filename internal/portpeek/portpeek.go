// Package portpeek finds out what listens at an address that does not speak the expected
// protocol: the wrong port, TLS instead of plain text, or another program.
package portpeek

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"time"
)

// Protocols that a port may speak.
const (
	Redis    = "Redis"
	Postgres = "Postgres"
	TLS      = "TLS"
	HTTP     = "HTTP"
	Unknown  = "something unknown" // it said something else
)

// An Answer is what a port has said.
type Answer struct {
	Protocol string // one of the constants; "" if nothing was said
	Text     string // its first line, or a part of it
}

// String describes the answer: the protocol and, for some, the first line.
func (a Answer) String() string {
	if a.Text == "" || a.Protocol == TLS || a.Protocol == Postgres {
		return a.Protocol
	}
	return a.Protocol + " (" + a.Text + ")"
}

// timeout bounds each attempt, from the dial to the first bytes.
const timeout = 1500 * time.Millisecond

// openings are what the attempts send. Nothing in it can change anything in a server.
var openings = [][]byte{
	nil, // some servers speak first
	[]byte("PING\r\n"),
	{0, 0, 0, 8, 4, 210, 22, 47}, // SSLRequest (PostgreSQL, chapter 55.7)
	[]byte("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"),
}

// Ask connects several times side by side, greets in each protocol and returns the most specific
// answer. It takes 1.5 s at most, and sends no credentials.
func Ask(ctx context.Context, network, address string) Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make([]Answer, len(openings)+1)
	var wg sync.WaitGroup
	for i, opening := range openings {
		wg.Go(func() { answers[i] = recognize(say(ctx, network, address, opening)) })
	}
	wg.Go(func() { answers[len(openings)] = askTLS(ctx, network, address) })
	wg.Wait()
	for _, protocol := range []string{Redis, Postgres, TLS, HTTP, Unknown} {
		for _, a := range answers {
			if a.Protocol == protocol {
				return a
			}
		}
	}
	return Answer{}
}

// say returns the first bytes that come back.
func say(ctx context.Context, network, address string, opening []byte) []byte {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails for a closed connection only
	if _, err := conn.Write(opening); err != nil {
		return nil
	}
	buf := make([]byte, 256)
	n, _ := conn.Read(buf)
	return buf[:n]
}

func recognize(said []byte) Answer {
	line, _, _ := bytes.Cut(said, []byte("\n"))
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(line))
	text = text[:min(len(text), 100)]
	switch {
	case len(said) == 0:
		return Answer{}
	case bytes.HasPrefix(said, []byte("+PONG")), bytes.HasPrefix(said, []byte("-NOAUTH")), bytes.HasPrefix(said, []byte("-DENIED")),
		bytes.HasPrefix(said, []byte("-ERR")), bytes.HasPrefix(said, []byte("-LOADING")), bytes.HasPrefix(said, []byte("-MISCONF")), bytes.HasPrefix(said, []byte("-NOPERM")):
		return Answer{Redis, text}
	case len(said) == 1 && (said[0] == 'S' || said[0] == 'N'):
		return Answer{Protocol: Postgres}
	case bytes.HasPrefix(said, []byte("HTTP/")):
		return Answer{HTTP, text}
	case len(said) > 2 && (said[0] == 21 || said[0] == 22) && said[1] == 3: // an alert or a handshake message
		return Answer{Protocol: TLS}
	}
	return Answer{Unknown, text}
}

// askTLS sends a ClientHello. Any answer in TLS counts, an alert too.
func askTLS(ctx context.Context, network, address string) Answer {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return Answer{}
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails for a closed connection only
	r := &recorder{Conn: conn}
	_ = tls.Client(r, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) //nolint:gosec // nothing is sent over it
	return recognize(r.first)
}

// A recorder keeps the first bytes that were read.
type recorder struct {
	net.Conn
	first []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if len(r.first) < 16 {
		r.first = append(r.first, b[:n]...)
	}
	return n, err //nolint:wrapcheck // it stands for the connection
}
