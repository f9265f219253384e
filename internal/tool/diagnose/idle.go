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

// A heard connection knows when something came last, and before that: the pings of
// the server included, which the client does not show.
type heard struct {
	net.Conn
	h *hearing
}

type hearing struct {
	last, before atomic.Int64 // Unix nanoseconds
	times        atomic.Int64
}

func (c heard) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.h.before.Store(c.h.last.Swap(time.Now().UnixNano()))
		c.h.times.Add(1)
	}
	return n, err
}

// silent is for how long nothing had come when the connection ended, just now: the
// farewell itself, of TLS or of the WebSocket, does not count. It reports whether there
// was one.
func (h *hearing) silent() (age time.Duration, farewell bool) {
	const justNow = 100 * time.Millisecond
	age = time.Since(time.Unix(0, h.last.Load()))
	if before := h.before.Load(); age < justNow && before > 0 {
		return time.Since(time.Unix(0, before)), true
	}
	return age, false
}

// A silence is a socket that says nothing, and how that went.
type silence struct {
	conn    *client.Conn
	h       *hearing
	greeted int64 // how often something had come when it was open

	ended *client.CloseError // nil while it lives
	after time.Duration      // for how long nothing had come when it ended
	pings int64              // that have come, where the server sends nothing else
}

// silence opens a socket to the path.
func (w *walk) silence(ctx context.Context, path string) (*silence, error) {
	s := &silence{h: &hearing{}}
	var err error
	s.conn, err = w.open(ctx, client.Options{
		URL: w.socketURL(path), KeepAlive: -1,
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return heard{c, s.h}, nil
		},
	})
	s.greeted = s.h.times.Load()
	return s, err
}

// watch says nothing until the socket or ctx ends.
func (s *silence) watch(ctx context.Context) {
	for {
		_, err := s.conn.Read(ctx)
		if err == nil {
			continue
		}
		s.pings = s.h.times.Load() - s.greeted
		if closed, ok := errors.AsType[*client.CloseError](err); ok {
			var farewell bool
			if s.after, farewell = s.h.silent(); farewell {
				s.pings--
			}
			s.ended = closed
		}
		return
	}
}

// cut reports whether something in between has ended it: closes of ours have a reason.
func (s *silence) cut() bool { return s.ended != nil && (!s.ended.Clean || s.ended.Reason == "") }

func (s *silence) timedOut() *trouble {
	return &trouble{cause: "idle_timeout", ref: s.conn.Ref(), detail: cuts + short(s.after)}
}

const cuts = "something in between closes a connection that is silent for about "

// idle leaves two sockets silent, and measures how long whatever stands between lets
// them live. One is pinged by the server, as every socket of a room is: what it lives
// through does no harm. The other one is not, and so finds the time-out behind the pings.
func (w *walk) idle(ctx context.Context) (string, error) {
	if w.Idle <= 0 {
		return "", errNotHere
	}
	pinged, err := w.silence(ctx, "/ws/test/")
	if err != nil {
		return "", err
	}
	defer bye(pinged.conn)
	unpinged, err := w.silence(ctx, "/ws/test/?ping=off")
	if err != nil {
		return "", err
	}
	defer bye(unpinged.conn)
	w.wait(ctx, pinged, unpinged)
	switch {
	case ctx.Err() != nil:
		return "", &trouble{cause: interrupted}
	case pinged.cut():
		return "", pinged.timedOut()
	case pinged.ended != nil:
		return "", ended(pinged.ended)
	case unpinged.cut() && pinged.pings == 0: // it was lucky: the time was over just before its end
		return "", unpinged.timedOut()
	}
	return w.survived(pinged, unpinged), nil
}

// wait watches both sockets until the time is over, or the pinged one has ended.
func (w *walk) wait(ctx context.Context, pinged, unpinged *silence) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.Idle)
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
		w.watch.Waits("idle", fmt.Sprintf("silent for %s of %s", time.Since(began).Round(time.Second), w.Idle))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	both.Wait()
}

// survived says what the pinged socket has lived through. A server that does not know
// ?ping=off pings both.
func (w *walk) survived(pinged, unpinged *silence) string {
	switch {
	case unpinged.cut() && unpinged.pings == 0:
		return fmt.Sprintf(cuts+"%s; the server's pings (%d in %s) keep it from doing harm", short(unpinged.after), pinged.pings, w.Idle)
	case unpinged.ended == nil && unpinged.pings == 0:
		return fmt.Sprintf("a silent socket lives %s and longer", w.Idle)
	}
	return fmt.Sprintf("a socket lives %s and longer, kept alive by the server's pings (%d)", w.Idle, pinged.pings)
}
