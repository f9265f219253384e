package netfault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

type direction int

const (
	up   direction = iota // client to target
	down                  // target to client
)

// Cut resets all connections on both sides (RST) and refuses new ones until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		c.abort()
	}
}

// Stall holds back all bytes in both directions. Connections stay open, and new ones are accepted but not passed on. Bytes
// and ends of connections that are held back arrive after Heal.
func (p *Proxy) Stall() { p.change(func(f *fault) { f.stalled = [2]bool{true, true} }) }

// StallUp is like Stall for bytes to the target only: requests do not arrive.
func (p *Proxy) StallUp() { p.change(func(f *fault) { f.stalled[up] = true }) }

// StallDown is like Stall for bytes from the target only: requests are executed, but responses do not arrive.
func (p *Proxy) StallDown() { p.change(func(f *fault) { f.stalled[down] = true }) }

// Delay delays all bytes by d in each direction, without limiting their rate; 0 ends the delay. It does not affect bytes
// that were already sent.
func (p *Proxy) Delay(d time.Duration) { p.change(func(f *fault) { f.delay = d }) }

// Heal ends all faults. After a Cut the proxy listens again at its address; connections that were cut stay closed. Heal
// panics if another process has taken the port. It does nothing if the proxy is closed.
func (p *Proxy) Heal() {
	p.change(func(f *fault) { *f = fault{} })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp", p.addr) //nolint:noctx // immediate
	if err != nil {
		panic(fmt.Sprintf("netfault: heal: %v", err))
	}
	p.serve(l)
}

func (p *Proxy) change(edit func(*fault)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(&p.fault)
	close(p.changed)
	p.changed = make(chan struct{})
}

// current returns the current fault and a channel that is closed when it changes.
func (p *Proxy) current() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

func (p *Proxy) count(d direction, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == up {
		p.counts.Up += int64(n)
	} else {
		p.counts.Down += int64(n)
	}
}

// listenLow listens on a port below the range of outgoing connections (Linux 32768, macOS 49152), so that none of them
// takes it between Cut and Heal. The UDP port of the same number reserves it against other proxies.
func listenLow() (net.Listener, net.PacketConn, error) {
	const lowest, count = 10000, 5000
	var last error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(count))) //nolint:gosec // no secret
		held, err := net.ListenPacket("udp", addr)                                   //nolint:noctx // immediate
		if err != nil {
			last = err
			continue
		}
		l, err := net.Listen("tcp", addr) //nolint:noctx // immediate
		if err == nil {
			return l, held, nil
		}
		last = errors.Join(err, held.Close())
	}
	return nil, nil, errors.Join(errors.New("find a free port: a hundred attempts failed"), last)
}
