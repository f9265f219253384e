package chat

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/room"
)

// Presence is what chat needs to know of who is online. See [presence.Registry].
type Presence interface {
	Enabled() bool
	Open(user room.UserID, inbox bool) (closed func())
	Watch(user room.UserID, changed func(presence.State)) (now presence.State, stop func())
	Wait(ctx context.Context, user room.UserID) presence.State
}

// presenceWait bounds how long a handshake waits until it is known whether the other side is
// online. A client that was told too early gets a presence frame later.
const presenceWait = time.Second

// The classes of hints in metrics.
const (
	classTyping   = "typing"
	classPresence = "presence"
)

// hints are what a client is told about the other side when nothing else waits to be sent.
// The newest one of a class replaces the one before.
type hints struct {
	typing     typingChange // to be sent
	typingAt   int64        // Unix nanoseconds of the event
	shownUntil int64        // until then the client shows that the other side types; 0 if it does not

	online, told visible // now, and as the client knows it
}

type typingChange uint8

const (
	typingSame typingChange = iota
	typingStarted
	typingEnded
)

// visible is the presence of the other side as clients see it.
type visible struct {
	online   bool
	lastSeen int64 // Unix seconds; 0 if unknown
}

func newVisible(s presence.State) visible {
	v := visible{online: s.Online}
	if !s.LastSeen.IsZero() {
		v.lastSeen = s.LastSeen.Unix()
	}
	return v
}

// differs reports whether a client that knows other is to be told v. What an online user's
// last_seen is does not matter.
func (v visible) differs(other visible) bool {
	return v.online != other.online || !v.online && v.lastSeen != other.lastSeen
}

func (v visible) seen() string {
	if v.lastSeen == 0 {
		return ""
	}
	return time.Unix(v.lastSeen, 0).UTC().Format(frame.TimeLayout)
}

// otherSide returns the user that the socket's user talks to, or 0 for support.
func otherSide(r room.Room, user room.UserID, role room.Role) room.UserID {
	switch {
	case role == room.Support:
		return 0
	case user == r.Customer:
		return r.Therapist
	}
	return r.Customer
}

// watchPeer begins to watch the other side, if it is to be watched.
func (s *Consumer) watchPeer() {
	p := s.chat.options.Presence
	if s.peer == 0 || p == nil || !p.Enabled() {
		return
	}
	now, stop := p.Watch(s.peer, s.peerChanged)
	s.unwatch = stop
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.hints.online == (visible{}) { // else a newer state has come
		s.hints.online = newVisible(now)
	}
}

// appear makes the user count as online, and waits until it is known whether the other side is.
func (s *Consumer) appear(ctx context.Context) {
	p := s.chat.options.Presence
	if s.peer == 0 || p == nil {
		return
	}
	s.disappear = p.Open(s.user, false)
	if s.unwatch != nil {
		ctx, cancel := context.WithTimeout(ctx, presenceWait)
		defer cancel()
		_ = p.Wait(ctx, s.peer) // the registry has called peerChanged
	}
}

// closeHints releases what watchPeer and appear took.
func (s *Consumer) closeHints() {
	s.closeTyping()
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.disappear != nil {
		s.disappear()
	}
}

// peerChanged takes a new state of the other side. The registry calls it under a lock.
func (s *Consumer) peerChanged(now presence.State) {
	s.Mu.Lock()
	h := &s.hints
	waiting := h.online.differs(h.told)
	h.online = newVisible(now)
	wake := s.opened && !s.closed
	if wake && waiting {
		s.chat.metrics.drops[classPresence].Inc() // one that was not sent yet
	}
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// setPresence says in the connected frame whether the other side is online, if that is known.
// Mu is held.
func (s *Consumer) setPresence(p *frame.Peer) {
	if p == nil || s.unwatch == nil || s.quiet() {
		return
	}
	told := s.hints.online
	s.hints.told = told
	p.Online, p.LastSeen = &told.online, told.seen()
}

// nextHint returns the next typing or presence frame, if there is one. Mu is held.
func (s *Consumer) nextHint(at int64) frame.Message {
	h, now := &s.hints, s.hints.online
	switch quiet := s.quiet(); {
	case quiet && !h.told.online:
		return frame.Message{}
	case quiet:
		now = visible{} // who was online before the block looks offline after it
	default:
		if m := s.nextTyping(at); m.Data != nil {
			return m
		}
		if !now.differs(h.told) {
			return frame.Message{}
		}
	}
	h.told = now
	return frame.Message{Data: frame.Encode(frame.Presence{Type: frame.TypePresence, UserID: s.peer, Online: h.told.online, LastSeen: h.told.seen()})}
}
