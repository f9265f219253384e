package session

import "github.com/roomspa/roomspa/internal/frame"

// Shed ends the oldest idle session with c and reports whether there was one. The oldest one
// is chosen so that every client is moved once before any client is moved twice. A session is
// idle if no received message is being handled and nothing is being written. Sessions of
// anonymous endpoints are left alone: they count for nothing, and end by their age.
func (r *Registry) Shed(c *frame.Close) bool {
	r.mu.Lock()
	var oldest *Session
	for s := range r.sessions {
		if !s.endpoint.anonymous && (oldest == nil || s.opened < oldest.opened) && s.isIdle() {
			oldest = s
		}
	}
	r.mu.Unlock()
	return oldest != nil && oldest.endIdle(c)
}

func (s *Session) isIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isIdleLocked()
}

func (s *Session) isIdleLocked() bool {
	return s.cause == nil && s.handler != nil && !s.writing && !s.working
}

// endIdle ends the session with c if it is still idle, and reports whether it did.
func (s *Session) endIdle(c *frame.Close) bool {
	s.mu.Lock()
	idle := s.isIdleLocked()
	if idle {
		s.setCauseLocked(c, "server")
	}
	s.mu.Unlock()
	if idle {
		s.Wake()
	}
	return idle
}
