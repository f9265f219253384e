package session

import (
	"sync"
	"time"
)

// besideAfter is the time after which another goroutine reads on beside one that is still handling
// a message. It may take twice as long.
const besideAfter = 20 * time.Millisecond

// handled are the messages whose handling began within the last 40 ms. They share one timer, which
// runs only while there are any: one for each message would cost more than starting a goroutine.
type handled struct {
	mu         sync.Mutex
	young, old []handling
	running    bool
}

// handling is a message that is being handled: the one with the number turn of its session.
type handling struct {
	session *Session
	turn    uint32
}

func (d *handled) add(h handling) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.young = append(d.young, h)
	if !d.running {
		d.running = true
		time.AfterFunc(besideAfter, d.tick)
	}
}

// tick starts readers beside the messages that were there at the last tick.
func (d *handled) tick() {
	d.mu.Lock()
	due := d.old
	d.old, d.young = d.young, make([]handling, 0, len(d.young))
	if d.running = len(d.old) > 0; d.running {
		time.AfterFunc(besideAfter, d.tick)
	}
	d.mu.Unlock()
	for _, h := range due {
		h.readBeside()
	}
}

// readBeside starts a reader beside the goroutine that handles the message, if it is still at work.
func (h handling) readBeside() {
	s := h.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working && s.received.Load() == h.turn {
		s.readBesideLocked()
	}
}

// readBesideLocked starts a reader beside the goroutine that handles messages, unless there is one.
func (s *Session) readBesideLocked() {
	if !s.beside {
		s.beside = true
		go s.read() // takes over the reader's count in the WaitGroup
	}
}
