package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/client"
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
// farewell itself, of TLS or of the WebSocket, does not count.
func (h *hearing) silent() time.Duration {
	const farewell = 100 * time.Millisecond
	age := time.Since(time.Unix(0, h.last.Load()))
	if before := h.before.Load(); age < farewell && before > 0 {
		age = time.Since(time.Unix(0, before))
	}
	return age
}

// idle leaves a socket silent, and measures how long whatever stands between lets it
// live. The server's pings go on: what lives longer than their interval is enough.
func (w *walk) idle(ctx context.Context) (string, error) {
	if w.Idle <= 0 {
		return "", errNotHere
	}
	h := &hearing{}
	conn, err := w.open(ctx, client.Options{
		URL: w.socketURL("/ws/test/"), KeepAlive: -1,
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return heard{c, h}, nil
		},
	})
	if err != nil {
		return "", err
	}
	defer bye(conn)
	began, handshake := time.Now(), h.times.Load()
	for {
		left := w.Idle - time.Since(began)
		if left <= 0 {
			break
		}
		w.watch.Waits("idle", fmt.Sprintf("silent for %s of %s", time.Since(began).Round(time.Second), w.Idle))
		tick, cancel := context.WithTimeout(ctx, min(left, time.Second))
		_, err := conn.Read(tick)
		cancel()
		closed, ok := errors.AsType[*client.CloseError](err)
		switch {
		case ctx.Err() != nil:
			return "", &trouble{cause: interrupted}
		case ok && (!closed.Clean || closed.Reason == ""): // ours have a reason
			return "", &trouble{cause: "idle_timeout", ref: conn.Ref(), detail: "something in between closes a connection that is silent for about " + short(h.silent())}
		case ok:
			return "", ended(closed)
		}
	}
	pings := h.times.Load() - handshake
	if pings == 0 {
		return fmt.Sprintf("a silent socket lives %s and longer", w.Idle), nil
	}
	return fmt.Sprintf("a socket lives %s and longer, kept alive by the server's pings (%d)", w.Idle, pings), nil
}
