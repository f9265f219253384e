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
	return n, err //nolint:wrapcheck // a net.Conn
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

// A watched socket is one whose end is recorded.
type watched struct {
	Silence

	conn      *client.Conn
	activity  *activity
	opened    time.Time
	handshake int64 // number of reads until the socket was open
}

func (w *walk) openWatched(ctx context.Context, kind, path string) (*watched, Attempt) {
	s := &watched{Silence: Silence{Kind: kind}, activity: &activity{}, opened: time.Now()}
	conn, a := w.open(ctx, Attempt{Probe: "idle", Path: path}, client.Options{
		KeepAlive: -1,
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := w.dialTo(ctx, w.address(0))
			if err != nil {
				return nil, err
			}
			return recordedConn{c, s.activity}, nil
		},
	}, "")
	s.conn, s.Ref = conn, a.Ref
	s.handshake = s.activity.reads.Load()
	return s, a
}

// watch waits until the socket or ctx ends.
func (s *watched) watch(ctx context.Context) {
	for {
		_, err := s.conn.Read(ctx)
		if err == nil {
			continue
		}
		s.Pings = s.activity.reads.Load() - s.handshake
		s.WatchS = time.Since(s.opened).Seconds()
		if closed, ok := errors.AsType[*client.CloseError](err); ok {
			silent, goodbye := s.activity.silence()
			if goodbye {
				s.Pings--
			}
			// The server's own closes have a reason.
			s.Ended, s.Cut = true, !closed.Clean || closed.Reason == ""
			s.AgeS, s.SilentS, s.Code, s.Detail = time.Since(s.opened).Seconds(), silent.Seconds(), closed.Reason, closed.Detail
		}
		return
	}
}

// chatter sends a frame every half second, which comes back.
func (s *watched) chatter(ctx context.Context) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.conn.Send([]byte("roomspa diagnose")) != nil {
				return
			}
		}
	}
}

// measureIdle opens three sockets and measures how long proxies keep them open: a busy one, a
// silent one that the server pings, as it pings every socket of a room, and one that it does not
// ping. What only the last one meets does no harm. What the busy one meets too is no idle timeout.
func (w *walk) measureIdle(ctx context.Context) result {
	if w.Idle <= 0 {
		return skipped("give --idle 90s to measure the timeouts of proxies")
	}
	if !w.has(func(a *Attempt) bool { return a.Probe == "upgrade" && a.OK }) {
		return skipped("no socket opens")
	}
	var all []*watched
	for _, s := range []struct{ kind, path string }{{"pinged", "/ws/test/"}, {"unpinged", "/ws/test/?ping=off"}, {"busy", "/ws/test/"}} {
		socket, a := w.openWatched(ctx, s.kind, s.path)
		if socket.conn == nil {
			a = w.record(ctx, a)
			return summary([]Attempt{a}, "", 0)
		}
		defer closeSocket(socket.conn)
		all = append(all, socket)
	}
	w.watchAll(ctx, all)
	for _, s := range all {
		w.facts.Idle = append(w.facts.Idle, s.Silence)
	}
	if ctx.Err() != nil {
		return failed("interrupted")
	}
	return w.idleResult(all[0], all[1])
}

func (w *walk) idleResult(pinged, unpinged *watched) result {
	f := &w.facts
	for _, see := range []func(*Facts) []string{lifetime, idleTimeout} {
		if e := see(f); len(e) > 0 {
			return failed("%s", e[0])
		}
	}
	if e := harmlessTimeout(f); len(e) > 0 {
		return passed("%s", e[0])
	}
	if pinged.Ended {
		a := Attempt{Probe: "idle", Path: "/ws/test/", Status: 101, Ours: true, Close: 1000, Code: pinged.Code, Detail: pinged.Detail, Ref: pinged.Ref}
		return summary([]Attempt{w.record(w.caller, a)}, "", 0)
	}
	if !unpinged.Ended && unpinged.Pings == 0 {
		return passed("a silent socket stayed open for %s%s", w.Idle, f.busyText())
	}
	return passed("a socket stayed open for %s, kept alive by the server's pings (%d)%s", w.Idle, pinged.Pings, f.busyText())
}

// busyTime is how much longer than the silent sockets the busy one is watched: what cuts all of them
// at one age cuts it within that time.
const busyTime = 2 * time.Second

// watchAll watches the sockets for Idle, or until both silent ones have ended.
func (w *walk) watchAll(ctx context.Context, all []*watched) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, w.Idle)
	defer cancel()
	var ends, silent sync.WaitGroup
	for _, s := range all {
		if s.Kind == "busy" {
			ends.Go(func() { s.chatter(ctx) })
			ends.Go(func() { s.watch(ctx) })
			continue
		}
		silent.Add(1)
		ends.Go(func() {
			defer silent.Done()
			s.watch(ctx)
		})
	}
	ends.Go(func() {
		silent.Wait()
		sleep(ctx, busyTime)
		cancel()
	})
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.watch.Progress("idle", fmt.Sprintf("silent for %s of %s", time.Since(began).Round(time.Second), w.Idle))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	ends.Wait()
}
