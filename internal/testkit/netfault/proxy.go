// Package netfault is a TCP proxy for tests and for `roomspa soak`. Between a replica and its stores, or between a client
// and a replica, it can cut, stall or delay connections.
//
// It owns its listener and its connections, and does not interpret the bytes that it passes on, except for published
// messages of Redis. Nothing that serves may import it.
package netfault

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy passes connections on to a target. Its methods are safe for concurrent use.
type Proxy struct {
	addr  string
	held  net.PacketConn // reserves the port while the proxy is cut
	redis atomic.Bool    // the target speaks RESP
	ends  sync.WaitGroup // of the accepting goroutine and all connections

	mu       sync.Mutex
	target   string
	listener net.Listener // nil while cut
	closed   bool
	conns    map[*conn]struct{}
	fault    fault
	changed  chan struct{} // closed and replaced whenever fault changes
	counts   Counts

	published int64 // messages of Pub/Sub so far
}

type fault struct {
	stalled [2]bool // by direction
	delay   time.Duration
	// dropEvery drops every nth published message.
	dropEvery int
}

// Counts holds the counts of a proxy.
type Counts struct {
	Accepted int   // all connections so far
	Open     int   // current connections
	Up, Down int64 // bytes passed to the target and from it
	Dropped  int   // published messages
}

// New starts a proxy to target (host:port) that is closed at the end of the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen starts a proxy to target (host:port) on a free port of 127.0.0.1. The caller must close it.
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

// URL returns raw with the host and port of the proxy. It panics if raw is not a URL.
func (p *Proxy) URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(fmt.Sprintf("netfault: %v", err))
	}
	u.Host = p.addr
	return u.String()
}

// Retarget makes new connections lead to another target (host:port). Open ones stay as they are.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Counts returns the current counts.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	counts.Open = len(p.conns)
	return counts
}

// Close resets all connections, stops listening and waits for all goroutines of the proxy. It may be called more than
// once.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	p.ends.Wait()
	_ = p.held.Close()
}

// serve accepts connections in the background. The caller holds mu, unless the proxy is new.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.ends.Go(func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // the client has closed the connection
			}
			p.admit(l, client.(*net.TCPConn)) //nolint:forcetypeassert,errcheck // it came from a TCP listener
		}
	})
}

// admit begins a connection, unless its listener was cut meanwhile.
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
