package session

import (
	"sync"
	"time"
)

// besideAfter is how long a message may be handled before another goroutine starts to read. It is
// checked at this interval, so it may take twice as long.
const besideAfter = 20 * time.Millisecond

// recentMessages are the messages whose handling began within the last 40 ms. They share one timer,
// which runs only while there are any: a timer for each message would cost more than a goroutine.
type recentMessages struct {
	mu         sync.Mutex
	young, old []handling
	running    bool
}

// handling is a message that is being handled: the one with the number turn of its session.
type handling struct {
	session *Session
	turn    uint32
}

func (r *recentMessages) add(h handling) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.young = append(r.young, h)
	if !r.running {
		r.running = true
		time.AfterFunc(besideAfter, r.tick)
	}
}

// tick starts readers beside the messages that were there at the last tick.
func (r *recentMessages) tick() {
	r.mu.Lock()
	due := r.old
	r.old, r.young = r.young, make([]handling, 0, len(r.young))
	if r.running = len(r.old) > 0; r.running {
		time.AfterFunc(besideAfter, r.tick)
	}
	r.mu.Unlock()
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
