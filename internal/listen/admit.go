package listen

import (
	"net/http"
	"net/netip"
	"time"
)

// verdict is the decision about a new connection.
type verdict int

const (
	admitted verdict = iota
	full             // nothing that could leave for it
	notYet           // too many plain connections; one may leave soon
	overShare
)

// admit counts a new connection of an address; share says whether the address has a share.
// The connection takes the place of victim, if that is not nil: the caller closes it.
func (l *Limits) admit(c *conn, a netip.Addr, share bool) (v verdict, victim *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p *peer
	if share {
		p = l.peer(a)
		defer l.add(all, p, 0) // forgets an address that was refused and holds nothing
	}
	switch {
	case l.exceeds(all, p) != nil, l.exceeds(plain, p) != nil:
		e := p.idle.Front()
		if e == nil {
			return overShare, nil
		}
		victim = e.Value.(*conn)
	case l.used[all] >= l.limit[all]:
		if victim = l.oldest(); victim == nil {
			return full, nil
		}
	case l.used[plain] >= l.limit[plain]:
		if victim = l.oldest(); victim == nil {
			return notYet, nil
		}
	}
	c.peer = p
	l.add(all, p, 1)
	l.add(plain, p, 1)
	l.enter(c, waiting)
	if victim != nil {
		l.evict(victim)
	}
	return admitted, victim
}

// oldest returns the plain connection that a new one may replace, or nil.
func (l *Limits) oldest() *conn {
	now := time.Now()
	for s := range l.lists {
		if e := l.lists[s].Front(); e != nil {
			if c := e.Value.(*conn); now.Sub(c.since) >= grace[s] {
				return c
			}
		}
	}
	return nil
}

func (l *Limits) evict(c *conn) {
	l.metrics.evicted.WithLabelValues(stateNames[c.state.Load()]).Inc()
	l.remove(c)
}

// relieve frees one place, because the process has no descriptors left.
func (l *Limits) relieve() {
	l.mu.Lock()
	victim := l.oldest()
	if victim != nil {
		l.evict(victim)
	}
	l.mu.Unlock()
	if victim != nil {
		_ = victim.TCPConn.Close()
	}
}

// enter puts a plain connection into the list of a state.
func (l *Limits) enter(c *conn, s state) {
	c.state.Store(int32(s))
	c.since = time.Now()
	c.element = l.lists[s].PushBack(c)
	if s == idle && c.peer != nil {
		c.own = c.peer.idle.PushBack(c)
	}
}

// exit takes a plain connection out of the lists.
func (l *Limits) exit(c *conn) {
	l.lists[c.state.Swap(int32(gone))].Remove(c.element)
	if c.own != nil {
		c.peer.idle.Remove(c.own)
	}
	c.element, c.own = nil, nil
}

// remove forgets a connection. It may be called more than once.
func (l *Limits) remove(c *conn) {
	if c.left {
		return
	}
	c.left = true
	if c.element != nil {
		l.exit(c)
		l.add(plain, c.peer, -1)
		l.signal()
	}
	l.add(all, c.peer, -1)
}

// move notes that a plain connection has changed its state.
func (l *Limits) move(c *conn, s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.element != nil {
		l.exit(c)
		l.enter(c, s)
		if s == idle {
			l.signal()
		}
	}
}

// upgrade notes that a connection has become a socket.
func (l *Limits) upgrade(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.element != nil {
		l.exit(c)
		l.add(plain, c.peer, -1)
		l.signal()
	}
}

// signal wakes an Accept that waits for a place.
func (l *Limits) signal() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// changed is the ConnState hook of the HTTP server.
func (c *conn) changed(s http.ConnState) {
	switch s {
	case http.StateActive:
		c.limits.move(c, serving)
	case http.StateIdle:
		c.lines = 0
		c.limits.move(c, idle)
	case http.StateHijacked:
		c.limits.upgrade(c)
	case http.StateNew, http.StateClosed: // admit and Close have counted it
	}
}
