package listen

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/tcp"
)

const (
	patience   = time.Second            // for which a new connection waits for a place
	lookAgain  = 50 * time.Millisecond  // whether the oldest connection may leave
	lingerTime = 500 * time.Millisecond // for which a refused client may read its answer
)

// listener counts the connections that it accepts. The rest of the package sees only those
// that have a place.
type listener struct {
	*net.TCPListener

	limits  *Limits
	relieve *Limits
	trusted []netip.Prefix // proxies, which have no share
	linger  chan struct{}  // holds one value per refused connection that is still open
	reserve *reserve       // of the ops listener
}

// Accept returns the next connection that has a place, and refuses the others. When the
// process has no descriptors left it frees one and returns the error, which the HTTP server
// takes as temporary: it waits and tries again.
func (l *listener) Accept() (net.Conn, error) {
	for {
		t, err := l.AcceptTCP()
		reserved := false
		if err != nil {
			if lacksFiles(err) {
				l.relieve.lacked.Store(time.Now().UnixNano())
				l.relieve.relieve()
				l.relieve.refused(reasonFiles, netip.Prefix{}, 0, 0)
			}
			if t, reserved, err = l.acceptReserved(err); err != nil {
				return nil, err //nolint:wrapcheck // net/http looks at it
			}
		}
		if l.reserve == nil && l.relieve.reserve.takesDescriptor(t) {
			l.relieve.lacked.Store(time.Now().UnixNano())
			l.relieve.refused(reasonFiles, netip.Prefix{}, 0, 0)
			continue
		}
		c := &conn{Conn: tcp.New(t), limits: l.limits, reserve: l.reserve, reserved: reserved}
		if l.place(c) {
			return c, nil
		}
	}
}

// place finds a place for a connection, or refuses it.
func (l *listener) place(c *conn) bool {
	var a netip.Addr
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		a = t.AddrPort().Addr().Unmap()
	}
	hasShare := !contains(l.trusted, a)
	for end := time.Now().Add(patience); ; {
		v, victim := l.limits.admit(c, a, hasShare)
		switch {
		case v == admitted:
			if victim != nil {
				_ = victim.TCPConn.Close()
			}
			return true
		case v == notYet && time.Now().Before(end):
			select {
			case <-l.limits.freed:
			case <-time.After(lookAgain):
			}
			continue
		case v == overShare:
			l.refuse(c.TCPConn, reasonAddress, a)
		default:
			l.refuse(c.TCPConn, reasonFull, a)
		}
		return false
	}
}

const refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n" +
	"Retry-After: 5\r\nRoomspa-Ref: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"

const refusalBody = `{"code":"unavailable","detail":"%s","ref":"%s","status":503,"title":"Try again","type":"about:blank"}` + "\n"

var refusalDetails = map[string]string{
	reasonAddress: "Your address holds too many connections. Close some, or connect again in a while.",
	reasonFull:    "This replica holds as many connections as it can. Connect again in a while.",
}

// refuse answers a connection that gets no place. A few may stay for a moment, so that the
// client reads the answer: closing a connection with unread bytes resets it.
func (l *listener) refuse(t *net.TCPConn, reason string, a netip.Addr) {
	ref := story.NewRef()
	body := fmt.Sprintf(refusalBody, refusalDetails[reason], ref)
	_ = t.SetDeadline(time.Now().Add(lingerTime))
	_, _ = fmt.Fprintf(t, refusal, ref, len(body), body) // fits into the empty send buffer
	n, held := l.limits.holder(a)
	l.limits.refused(reason, n, held, l.limits.Places())
	select {
	case l.linger <- struct{}{}:
	default:
		_ = t.Close()
		return
	}
	_ = t.CloseWrite()
	go func() {
		_, _ = io.CopyN(io.Discard, t, 16<<10)
		_ = t.Close()
		<-l.linger
	}()
}

// holder returns the network of an address that holds its share, and its connections.
func (l *Limits) holder(a netip.Addr) (n netip.Prefix, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peer(a)
	defer l.add(all, p, 0) // forgets an address that holds nothing
	p = cmp.Or(l.exceeds(all, p), l.exceeds(plain, p), p)
	return p.network, p.held[all]
}
