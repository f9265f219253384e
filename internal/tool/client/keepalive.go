package client

import (
	"errors"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

var errSilent = errors.New("the peer was silent, and did not answer our ping")

// keepAlive finds half-open connections: after a silence it pings, after a
// longer one it cuts. The silence does not count while the caller of Read is the
// one who holds things up.
type keepAlive struct {
	conn  *Conn
	after time.Duration

	mu     sync.Mutex
	timer  *time.Timer // nil where it is off
	last   time.Time
	paused bool
	over   bool
}

func (k *keepAlive) start(c *Conn, after time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn, k.after, k.last = c, after, time.Now()
	if after > 0 {
		k.timer = time.AfterFunc(after, k.look)
	}
}

func (k *keepAlive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over = true; k.timer != nil {
		k.timer.Stop()
	}
}

func (k *keepAlive) heard()  { k.set(k.paused) }
func (k *keepAlive) pause()  { k.set(true) }
func (k *keepAlive) resume() { k.set(false) }

// set is called by the reader's goroutine only, which alone reads paused without
// the lock.
func (k *keepAlive) set(paused bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last, k.paused = time.Now(), paused
}

// look is the timer's goroutine; it sets the timer anew as its last act, so only
// one runs at a time.
func (k *keepAlive) look() {
	k.mu.Lock()
	ping, paused := k.last.Add(k.after), k.paused
	k.mu.Unlock()
	next := ping
	switch now := time.Now(); {
	case paused:
		next = now.Add(k.after)
	case !now.Before(ping.Add(pongWait)):
		k.conn.cut(errSilent)
		return
	case !now.Before(ping):
		next = ping.Add(pongWait)
		_ = k.conn.control(websocket.PingMessage, nil) // what cannot be written will not be answered
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.over {
		k.timer.Reset(time.Until(next))
	}
}
