package client

import (
	"errors"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var errNoPong = errors.New("the peer sent nothing and did not answer our ping")

// keepAlive detects half-open connections. It pings after some silence and cuts the
// connection if nothing comes back. Time that the reader spends waiting for the caller of
// Read does not count as silence.
type keepAlive struct {
	conn  *Conn
	after time.Duration

	mu      sync.Mutex
	timer   *time.Timer // nil if disabled
	last    time.Time   // of the last activity
	paused  bool
	stopped bool
}

func (k *keepAlive) start(c *Conn, after time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn, k.after, k.last = c, after, time.Now()
	if after > 0 {
		k.timer = time.AfterFunc(after, k.check)
	}
}

func (k *keepAlive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped = true; k.timer != nil {
		k.timer.Stop()
	}
}

func (k *keepAlive) recordActivity() { k.set(k.paused) }
func (k *keepAlive) pause()          { k.set(true) }
func (k *keepAlive) resume()         { k.set(false) }

// set is only called by the reader's goroutine, which may therefore read paused without
// the lock.
func (k *keepAlive) set(paused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last, k.paused = time.Now(), paused
}

// check runs on the timer's goroutine. It resets the timer last, so that only one check
// runs at a time.
func (k *keepAlive) check() {
	k.mu.Lock()
	ping, paused := k.last.Add(k.after), k.paused
	k.mu.Unlock()
	next := ping
	switch now := time.Now(); {
	case paused:
		next = now.Add(k.after)
	case !now.Before(ping.Add(pongTimeout)):
		k.conn.cut(errNoPong)
		return
	case !now.Before(ping):
		next = ping.Add(pongTimeout)
		_ = k.conn.writeControl(websocket.PingMessage, nil) // a ping that cannot be written is not answered either
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(time.Until(next))
	}
}
