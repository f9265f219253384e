package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// activity records when a connection received data, including pings, which the client does
// not report.
type activity struct {
	last, previous atomic.Int64 // Unix nanoseconds
	reads          atomic.Int64
}

// A recordedConn records the activity of a connection.
type recordedConn struct {
	net.Conn
	activity *activity
}

func (c recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.activity.previous.Store(c.activity.last.Swap(time.Now().UnixNano()))
		c.activity.reads.Add(1)
	}
	return n, err
}

// silence returns for how long a connection that has just ended had received nothing. It
// does not count a goodbye of TLS or WebSocket, and reports whether there was one.
func (a *activity) silence() (age time.Duration, goodbye bool) {
	const justNow = 100 * time.Millisecond
	age = time.Since(time.Unix(0, a.last.Load()))
	if previous := a.previous.Load(); age < justNow && previous > 0 {
		return time.Since(time.Unix(0, previous)), true
	}
	return age, false
}

// An idleSocket is a socket that sends nothing, with a record of what happened to it.
type idleSocket struct {
	conn      *client.Conn
	activity  *activity
	handshake int64 // number of reads until the socket was open

	ended *client.CloseError // nil while it is open
	after time.Duration      // silence before the end
	pings int64              // number of pings, if the server sent nothing else
}

func (d *diagnosis) openIdle(ctx context.Context, path string) (*idleSocket, error) {
	s := &idleSocket{activity: &activity{}}
	var err error
	s.conn, err = d.open(ctx, client.Options{
		URL: d.socketURL(path), KeepAlive: -1,
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return recordedConn{c, s.activity}, nil
		},
	})
	s.handshake = s.activity.reads.Load()
	return s, err
}

// watch waits until the socket or ctx ends.
func (s *idleSocket) watch(ctx context.Context) {
	for {
		_, err := s.conn.Read(ctx)
		if err == nil {
			continue
		}
		s.pings = s.activity.reads.Load() - s.handshake
		if closed, ok := errors.AsType[*client.CloseError](err); ok {
			var goodbye bool
			if s.after, goodbye = s.activity.silence(); goodbye {
				s.pings--
			}
			s.ended = closed
		}
		return
	}
}

// wasCut reports whether something between client and server ended the connection. The
// server's own closes have a reason.
func (s *idleSocket) wasCut() bool { return s.ended != nil && (!s.ended.Clean || s.ended.Reason == "") }

func (s *idleSocket) timeoutProblem() *problem {
	return &problem{cause: "idle_timeout", ref: s.conn.Ref(), detail: s.timeoutText()}
}

func (s *idleSocket) timeoutText() string {
	return "a proxy or firewall closes connections that are silent for about " + durationText(s.after)
}

// measureIdle leaves two sockets silent and measures how long proxies keep them open. The
// server pings one of them, as it pings every socket of a room. A timeout that only the
// other one meets does no harm.
func (d *diagnosis) measureIdle(ctx context.Context) (string, error) {
	if d.Idle <= 0 {
		return "", errSkipped
	}
	pinged, err := d.openIdle(ctx, "/ws/test/")
	if err != nil {
		return "", err
	}
	defer closeSocket(pinged.conn)
	unpinged, err := d.openIdle(ctx, "/ws/test/?ping=off")
	if err != nil {
		return "", err
	}
	defer closeSocket(unpinged.conn)
	d.watchIdle(ctx, pinged, unpinged)
	switch {
	case ctx.Err() != nil:
		return "", &problem{cause: interrupted}
	case pinged.wasCut():
		return "", pinged.timeoutProblem()
	case pinged.ended != nil:
		return "", closeProblem(pinged.ended)
	case unpinged.wasCut() && pinged.pings == 0: // the pinged one would have been cut a moment later
		return "", unpinged.timeoutProblem()
	}
	return d.idleText(pinged, unpinged), nil
}

// watchIdle watches both sockets for Idle, or until the pinged one ends.
func (d *diagnosis) watchIdle(ctx context.Context, pinged, unpinged *idleSocket) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.Idle)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { unpinged.watch(ctx) })
	both.Go(func() {
		pinged.watch(ctx)
		cancel()
	})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.watch.Progress("idle", fmt.Sprintf("silent for %s of %s", time.Since(began).Round(time.Second), d.Idle))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	both.Wait()
}

// idleText describes the measurement if the pinged socket stayed open. A server version
// that does not know ?ping=off pings both sockets.
func (d *diagnosis) idleText(pinged, unpinged *idleSocket) string {
	switch {
	case unpinged.wasCut() && unpinged.pings == 0:
		return fmt.Sprintf("%s; the server's pings (%d in %s) prevent that", unpinged.timeoutText(), pinged.pings, d.Idle)
	case unpinged.ended == nil && unpinged.pings == 0:
		return fmt.Sprintf("a silent socket stayed open for %s", d.Idle)
	}
	return fmt.Sprintf("a socket stayed open for %s, kept alive by the server's pings (%d)", d.Idle, pinged.pings)
}
