package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

var errOffline = errors.New("this client is offline")

// A network is the network of one client. Like an ingress it dials any of the replicas. It
// can be disconnected and slowed down.
type network struct {
	// direct bypasses the links and uses a small receive buffer, so that a replica notices
	// when the client stops reading: a link would buffer a megabyte.
	direct bool
	addrs  func(direct bool) []string

	mu        sync.Mutex
	rng       *rand.Rand
	offline   bool
	silent    bool          // connections are not closed towards the peer
	slow      chan struct{} // not nil while the client reads slowly; closed when it reads normally again
	trickle   bool          // while slow, the client reads a little instead of nothing
	abandoned []net.Conn    // not closed towards the peer
}

// dial tries the replicas in a random order.
func (n *network) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	n.mu.Lock()
	offline, direct := n.offline, n.direct
	addrs := n.addrs(direct)
	n.rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	n.mu.Unlock()
	if offline {
		return nil, errOffline
	}
	d := net.Dialer{Timeout: time.Second}
	if direct {
		d.Control = setSmallBuffer
	}
	var errs []error
	for _, addr := range addrs {
		c, err := d.DialContext(ctx, network, addr)
		if err == nil {
			return &conn{Conn: c, network: n, closed: make(chan struct{})}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func setSmallBuffer(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	return errors.Join(err, failed)
}

// disconnect refuses new connections until reconnect. If silent is true, connections that
// are closed meanwhile stay open towards the peer.
func (n *network) disconnect(silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offline, n.silent = true, silent
}

func (n *network) reconnect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.offline, n.silent = false, false
}

// slowDown makes the client read nothing, or a little if trickle is true, until speedUp.
func (n *network) slowDown(trickle bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slow == nil {
		n.slow, n.trickle = make(chan struct{}), trickle
	}
}

func (n *network) speedUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slow != nil {
		close(n.slow)
		n.slow = nil
	}
}

func (n *network) readSpeed() (slow chan struct{}, trickle bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slow, n.trickle
}

// close closes the abandoned connections.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.abandoned {
		_ = c.Close()
	}
	n.abandoned = nil
}

// A conn is a connection of a network.
type conn struct {
	net.Conn

	network *network
	once    sync.Once
	closed  chan struct{}
}

// Read reads at the speed of the network.
func (c *conn) Read(b []byte) (int, error) {
	const trickleBytes, trickleInterval = 128, 50 * time.Millisecond
	slow, trickle := c.network.readSpeed()
	if slow == nil {
		return c.Conn.Read(b)
	}
	var next <-chan time.Time
	if trickle {
		timer := time.NewTimer(trickleInterval)
		defer timer.Stop()
		next = timer.C
		b = b[:min(len(b), trickleBytes)]
	}
	select {
	case <-slow:
	case <-next:
	case <-c.closed:
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// Close closes the connection, or abandons it if the network is silent.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		close(c.closed)
		c.network.mu.Lock()
		silent := c.network.silent
		if silent {
			c.network.abandoned = append(c.network.abandoned, c.Conn)
		}
		c.network.mu.Unlock()
		if silent {
			err = c.SetDeadline(time.Now()) // ends pending reads and writes
			return
		}
		err = c.Conn.Close()
	})
	return err
}
