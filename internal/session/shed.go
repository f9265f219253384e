package session

import "github.com/roomspa/roomspa/internal/frame"

// Shed ends one socket with c: of those that have nothing in hand the one that is
// open for the longest time, so that nobody is moved twice before all others were
// once. It reports whether there was one. A message that the client has sent and
// that is not answered yet is in hand, and so is all that is still to be written.
func (r *Registry) Shed(c *frame.Close) bool {
	r.mu.Lock()
	var oldest *Session
	for s := range r.sessions {
		if (oldest == nil || s.opened < oldest.opened) && s.idle() {
			oldest = s
		}
	}
	r.mu.Unlock()
	return oldest != nil && oldest.endIdle(c)
}

// idle reports whether a session lives and has nothing in hand.
func (s *Session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isIdle()
}

func (s *Session) isIdle() bool {
	return s.cause == nil && s.handler != nil && !s.writing && !s.handling.Load()
}

// endIdle ends a session that is still idle, in one step with the look.
func (s *Session) endIdle(c *frame.Close) bool {
	s.mu.Lock()
	idle := s.isIdle()
	if idle {
		s.cause, s.by = c, "server"
	}
	s.mu.Unlock()
	if idle {
		s.Wake()
	}
	return idle
}
