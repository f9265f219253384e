// Package netfault is a TCP proxy for tests and for `roomspa soak` that stands between a replica and its Postgres or Redis, or between a client
// and a replica, and breaks the line: cut, stalled in one direction or both, slow.
//
// It owns its listener and the connections through it. It refuses to know what flows through them, and to be imported by
// anything that serves.
package netfault

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy passes connections on to a target. Its methods may be called by several goroutines.
type Proxy struct {
	target string
	addr   string
	held   net.PacketConn // reserves the port while it is cut
	ends   sync.WaitGroup // the accepting goroutine and every connection

	mu       sync.Mutex
	listener net.Listener // nil while cut
	closed   bool
	conns    map[*conn]struct{}
	fault    fault
	changed  chan struct{} // closed and replaced whenever fault changes
	counts   Counts
}

type fault struct {
	stalled [2]bool // by direction
	delay   time.Duration
}

// Counts are what a proxy has seen.
type Counts struct {
	Accepted int   // connections since the beginning
	Open     int   // connections now
	Up, Down int64 // bytes handed on to the target and from it
}

// New starts a proxy to target (host:port) that is closed at the end of the test, with all its connections.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen starts a proxy to target (host:port) on a free port of 127.0.0.1. Close it.
func Listen(target string) (*Proxy, error) {
	l, held, err := listenLow()
	if err != nil {
		return nil, fmt.Errorf("start proxy to %s: %w", target, err)
	}
	p := &Proxy{
		target: target, addr: l.Addr().String(), held: held,
		conns: make(map[*conn]struct{}), changed: make(chan struct{}),
	}
	p.serve(l)
	return p, nil
}

// Addr returns the proxy's host:port. It stays the same through Cut and Heal.
func (p *Proxy) Addr() string { return p.addr }

// URL returns raw with its host and port replaced by the proxy's. It panics if raw is no URL.
func (p *Proxy) URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(fmt.Sprintf("netfault: %v", err))
	}
	u.Host = p.addr
	return u.String()
}

// Counts returns what the proxy has seen so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	counts.Open = len(p.conns)
	return counts
}

// Close resets all connections, stops listening and returns when every goroutine of the proxy has ended. Closing twice
// does nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	p.ends.Wait()
	_ = p.held.Close()
}

// serve accepts in the background. The caller holds mu, or is alone.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.ends.Go(func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // the client has gone again
			}
			p.admit(l, client.(*net.TCPConn)) //nolint:forcetypeassert,errcheck // it came from a TCP listener
		}
	})
}

// admit begins a connection, unless it came from a listener that was cut in the meantime.
func (p *Proxy) admit(l net.Listener, client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		reset(client)
		return
	}
	p.counts.Accepted++
	c := &conn{proxy: p, client: client, cut: make(chan struct{})}
	p.conns[c] = struct{}{}
	p.ends.Go(func() {
		c.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	})
}
