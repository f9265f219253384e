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

// A gate is a client's way out: it dials one replica or another, as an ingress
// would, and can be closed, muted and slowed.
type gate struct {
	// direct leads to the replicas themselves, with a receive buffer so small that
	// they feel it when the client stops reading: a link would hold a megabyte.
	direct bool
	addrs  func(direct bool) []string

	mu      sync.Mutex
	rng     *rand.Rand
	offline bool
	mute    bool          // what is open says nothing more, not even goodbye
	slow    chan struct{} // not nil while the client does not read; closed when it does again
	trickle bool          // and not nil: it reads a little
	ghosts  []net.Conn    // were closed without telling the peer
}

// dial tries the replicas in an order of its own until one answers.
func (g *gate) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	g.mu.Lock()
	offline, direct := g.offline, g.direct
	addrs := g.addrs(direct)
	g.rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	g.mu.Unlock()
	if offline {
		return nil, errOffline
	}
	d := net.Dialer{Timeout: time.Second}
	if direct {
		d.Control = smallBuffer
	}
	var errs []error
	for _, addr := range addrs {
		conn, err := d.DialContext(ctx, network, addr)
		if err == nil {
			return &wire{Conn: conn, gate: g, closed: make(chan struct{})}, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func smallBuffer(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	return errors.Join(err, failed)
}

// leave makes the client lose its way; silently, its peers are not told of what
// is closed meanwhile.
func (g *gate) leave(silently bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offline, g.mute = true, silently
}

func (g *gate) comeBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offline, g.mute = false, false
}

// slowDown makes the client read nothing, or a little, until hurry.
func (g *gate) slowDown(trickle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.slow == nil {
		g.slow, g.trickle = make(chan struct{}), trickle
	}
}

func (g *gate) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.slow != nil {
		close(g.slow)
		g.slow = nil
	}
}

// pace returns what a read has to wait for, and whether only for a while.
func (g *gate) pace() (slow chan struct{}, trickle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.slow, g.trickle
}

// close closes what was left open silently.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range g.ghosts {
		_ = conn.Close()
	}
	g.ghosts = nil
}

// A wire is a connection through a gate.
type wire struct {
	net.Conn

	gate   *gate
	once   sync.Once
	closed chan struct{}
}

// Read reads as fast as the gate lets it.
func (w *wire) Read(b []byte) (int, error) {
	const sip, pause = 128, 50 * time.Millisecond
	slow, trickle := w.gate.pace()
	if slow == nil {
		return w.Conn.Read(b)
	}
	var some <-chan time.Time
	if trickle {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		some = timer.C
		b = b[:min(len(b), sip)]
	}
	select {
	case <-slow:
	case <-some:
	case <-w.closed:
		return 0, net.ErrClosed
	}
	return w.Conn.Read(b)
}

// Close closes the connection, or abandons it where the gate is mute.
func (w *wire) Close() (err error) {
	w.once.Do(func() {
		close(w.closed)
		w.gate.mu.Lock()
		mute := w.gate.mute
		if mute {
			w.gate.ghosts = append(w.gate.ghosts, w.Conn)
		}
		w.gate.mu.Unlock()
		if mute {
			err = w.SetDeadline(time.Now()) // ends the reads and writes under way
			return
		}
		err = w.Conn.Close()
	})
	return err
}
