package chat

import (
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// maxMessageAge is the age at which a published message no longer counts as what the store
// has: if the database has gone back in time since, whoever can write to Redis may send a
// message again that is gone. No message takes so long on its way.
const maxMessageAge = 30 * time.Second

// deliver takes an event of the group. The receive loop of the channel layer calls it, so
// it must not block. The layer has checked the body.
func (s *Consumer) deliver(e event.Event) {
	switch e.Kind {
	case event.KindMessage:
		if m, err := event.ReadMessage(e.Body); err == nil {
			s.deliverMessage(m, e.At)
		}
	case event.KindUnnumbered:
		if m, err := event.ReadUnnumbered(e.Body); err == nil {
			s.deliverUnnumbered(m, e.At)
		}
	case event.KindReceipt:
		if r, err := event.ReadReceipt(e.Body); err == nil {
			s.deliverReceipt(r, e.At)
		}
	case event.KindTyping:
		if t, err := event.ReadTyping(e.Body); err == nil {
			s.deliverTyping(t)
		}
	case event.KindProbe:
		if p, err := event.ReadProbe(e.Body); err == nil {
			s.deliverProbe(p)
		}
	default: // no other kind concerns a socket
	}
}

// deliverMessage takes a message that was published at the time at.
func (s *Consumer) deliverMessage(m event.Message, at time.Time) {
	if time.Since(at) > maxMessageAge {
		s.chat.requestSweep() // it finds the message if the store has it
		return
	}
	now := time.Now().UnixNano()
	took := time.Duration(max(0, now-at.UnixNano()))
	s.chat.metrics.fanout.observe(took.Seconds(), now, s.Socket.Log())
	if took > slowAfter {
		s.chat.options.slow(s.room, "delivery", took)
	}
	if log := s.Socket.Log(); log.Watched() {
		log.Debug(component, "Message delivered", slog.Int64("seq", m.Seq), slog.Int("bytes", len(m.Frame)), slog.Duration("after", took))
	}
	s.Mu.Lock()
	wake := !s.closed && s.cursor.accept(delivery{m, now})
	if s.cursor.gap && s.overflowedAt == 0 {
		s.overflowedAt = now
	}
	if wake && m.Sender == s.peer {
		s.hints.endTyping(now)
	}
	wake = wake && s.opened
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// deliverUnnumbered takes a message that a replica of an earlier build has published at the time
// at. The event lacks what this build needs, so the message is read from the store.
func (s *Consumer) deliverUnnumbered(m event.Unnumbered, at time.Time) {
	if time.Since(at) > maxMessageAge {
		s.chat.requestSweep()
		return
	}
	s.Mu.Lock()
	wake := !s.closed && s.cursor.miss(m.Seq) && s.opened
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// missed is called by the channel layer when events of the group may have been lost. A
// lost last message leaves no gap, so it also requests a sweep. With reset the database
// was restored or replaced.
func (s *Consumer) missed(reset bool) {
	if reset {
		s.reset()
		return
	}
	s.Mu.Lock()
	if !s.opened {
		s.cursor.gap = true // the sweep does not know this socket yet
	}
	pending := s.cursor.gap || s.cursor.hasHole()
	s.Mu.Unlock()
	s.chat.requestSweep()
	if pending {
		s.Socket.Wake()
	}
}

// catchUp makes the socket read the store unless it has heard of all messages up to
// seq. A seq of 0 means that nobody knows the highest seq.
func (s *Consumer) catchUp(seq int64) {
	s.Mu.Lock()
	behind := seq == 0 || seq > s.cursor.latest
	if behind {
		s.cursor.gap = true
		s.cursor.latest = max(s.cursor.latest, seq)
		s.excusedSeq = max(s.excusedSeq, s.cursor.latest)
	}
	s.Mu.Unlock()
	if behind {
		s.Socket.Wake()
	}
}
