package chat

import (
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// typingInterval is the minimum time between two events that say that a user types in a room.
const typingInterval = 2 * time.Second

// typists limits how often this replica says who types.
type typists struct {
	mu    sync.Mutex
	users map[typist]typistState
}

type typist struct {
	room room.Room
	user room.UserID
}

type typistState struct {
	at     time.Time // when it was last said that the user types
	active bool      // the end was not said yet
}

// pass reports whether to say now that a user types, or has stopped.
func (t *typists) pass(who typist, active bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.users[who]
	if active && now.Sub(s.at) < typingInterval {
		return false
	}
	if !active && !s.active {
		return false
	}
	if s.active = active; active {
		s.at = now
	}
	if t.users == nil {
		t.users = map[typist]typistState{}
	}
	t.users[who] = s
	return true
}

func (t *typists) forget(who typist) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.users, who)
}

// setTyping passes on that the user types, or has stopped. Nothing is stored, and the client gets no
// answer.
func (s *Consumer) setTyping(active bool) error {
	if s.peer == 0 {
		return s.Refuse(&room.Invalid{Code: "wrong_role", Detail: "support may read a room but not type"}, "")
	}
	if active && s.quiet() {
		return nil
	}
	if s.typing = active; active {
		s.typed = true
	}
	switch {
	case s.chat.typists.pass(s.typist(), active, time.Now()):
		s.publishTyping(active)
	case active:
		s.chat.metrics.drops[classTyping].Inc()
	}
	return nil
}

// stopTyping notes that the user has sent a message, which ends the typing for everybody who
// gets it.
func (s *Consumer) stopTyping() {
	if s.typing {
		s.typing = false
		s.chat.typists.pass(s.typist(), false, time.Now())
	}
}

// closeTyping ends the typing of a socket that has closed.
func (s *Consumer) closeTyping() {
	if s.typing && s.chat.typists.pass(s.typist(), false, time.Now()) {
		s.publishTyping(false)
	}
	if s.typed {
		s.chat.typists.forget(s.typist())
	}
}

func (s *Consumer) typist() typist { return typist{s.room, s.user} }

// publishTyping ignores failures: the other side forgets that the user types.
func (s *Consumer) publishTyping(active bool) {
	s.chat.layer.Publish(s.group, event.Typing{User: s.user, Active: active}, nil)
}

// deliverTyping takes what another socket of the room says of its user.
func (s *Consumer) deliverTyping(t event.Typing) {
	if t.User != s.peer || t.Active && s.quiet() {
		return
	}
	now := time.Now().UnixNano()
	s.Mu.Lock()
	h := &s.hints
	if h.typing != typingSame {
		s.chat.metrics.drops[classTyping].Inc() // one that was not sent yet
	}
	switch {
	case t.Active:
		h.typing, h.typingAt = typingStarted, now
	default:
		h.endTyping(now)
	}
	wake := s.opened && !s.closed && h.typing != typingSame
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// endTyping makes the client forget that the other side types, if it shows so. Mu is held.
func (h *hints) endTyping(now int64) {
	h.typing = typingSame
	if h.shownUntil > now {
		h.typing = typingEnded
	}
}

// nextTyping returns the typing frame to be sent, if there is one. Mu is held.
func (s *Consumer) nextTyping(now int64) (m frame.Message) {
	h := &s.hints
	change := h.typing
	h.typing = typingSame
	f := frame.Typing{Type: frame.TypeTyping, UserID: s.peer, IsTyping: change == typingStarted}
	switch {
	case change == typingSame:
		return m
	case change == typingEnded:
		h.shownUntil = 0
	case now-h.typingAt > int64(frame.TypingExpires): // the client has been busy for too long
		s.chat.metrics.drops[classTyping].Inc()
		return m
	default:
		h.shownUntil = now + int64(frame.TypingExpires)
		f.ExpiresInMS = frame.TypingExpires.Milliseconds()
	}
	m.Data = frame.Encode(f)
	return m
}
