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

// Cut resets every connection (RST, on both sides) and refuses new ones until Heal, as a dead host's kernel does.
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

// Stall holds back all bytes, in both directions; connections stay, and new ones are accepted but never answered. What is
// held back, the end of a connection included, arrives after Heal.
func (p *Proxy) Stall() { p.change(func(f *fault) { f.stalled = [2]bool{true, true} }) }

// StallUp is Stall for what goes to the target: requests do not arrive.
func (p *Proxy) StallUp() { p.change(func(f *fault) { f.stalled[up] = true }) }

// StallDown is Stall for what comes from the target: requests are carried out, answers are not seen.
func (p *Proxy) StallDown() { p.change(func(f *fault) { f.stalled[down] = true }) }

// Delay makes all bytes arrive d later in each direction, without limiting their rate; 0 ends it. Bytes under way keep
// the delay they had when they were sent.
func (p *Proxy) Delay(d time.Duration) { p.change(func(f *fault) { f.delay = d }) }

// Heal ends every fault. Connections that were cut stay so; after a Cut the proxy listens again at its address, and
// Heal panics if another process has taken the port. Healing a closed proxy does nothing.
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

// current returns the fault and what tells that it has changed.
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

// listenLow takes a port from below the range of outgoing connections (Linux 32768, macOS 49152), so that none of them
// occupies it between Cut and Heal. Against other proxies it is held by the UDP port of the same number.
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
	return nil, nil, errors.Join(errors.New("a hundred ports were taken"), last)
}
