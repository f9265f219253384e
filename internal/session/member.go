package session

import "sync/atomic"

// A memberKey names a member: a user, or the network of clients without one.
type memberKey struct {
	user    int64
	network string
}

// A member is a user who has sockets on this replica, or a client network that has sockets
// without a user.
type member struct {
	key      memberKey
	sockets  atomic.Int32 // that are open, or whose messages wait
	messages sharedBucket // rate of handled messages of all sockets but the classic ones
	classic  sharedBucket // the same of classic sockets, which may send more in a burst
	sessions int          // that refer to the member; guarded by Registry.mu
}

// bucket returns the bucket for messages of classic or of other sockets.
func (m *member) bucket(classic bool) *sharedBucket {
	if classic {
		return &m.classic
	}
	return &m.messages
}

// join makes the session one of a member's. It may be called more than once, but only the
// first call may be concurrent with no other method.
func (r *Registry) join(s *Session, key memberKey) {
	if s.member != nil {
		return
	}
	r.mu.Lock()
	m := r.members[key]
	if m == nil {
		m = &member{key: key}
		r.members[key] = m
	}
	m.sessions++
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.member = m
	if s.counted = s.cause == nil; s.counted {
		m.sockets.Add(1)
	}
}

// uncountLocked stops counting a session that is ending, so that its user can open another one
// in its place. One whose messages still wait for the handler counts until they are handled:
// otherwise a client that leaves and comes back could collect sessions without a limit. The
// caller must hold the lock of the session.
func (s *Session) uncountLocked() {
	if s.counted && s.cause != nil && !s.working {
		s.counted = false
		s.member.sockets.Add(-1)
	}
}

// leaveLocked undoes join. The caller must hold the lock of the registry.
func (r *Registry) leaveLocked(s *Session) {
	if s.member.sessions--; s.member.sessions == 0 {
		delete(r.members, s.member.key)
	}
}

// TooManySockets reports whether the user of the session has more sockets on this replica
// than [Options.UserSockets].
func (s *Session) TooManySockets() bool {
	limit := s.registry.options.UserSockets
	return limit > 0 && s.member != nil && int(s.member.sockets.Load()) > limit
}
