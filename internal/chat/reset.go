package chat

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// reset makes the socket reload the conversation, because the database was restored or
// replaced. It forgets what was delivered before, and does not block: the writer reads the
// store, and nothing else does.
func (s *Consumer) reset() {
	s.chat.resets.Add(1)
	s.Mu.Lock()
	s.resets++
	s.forget()
	opened := s.opened
	s.Mu.Unlock()
	s.chat.receipts.Reset() // from here on the socket marks nothing until it has reloaded
	if opened {
		s.Socket.Wake()
	}
}

// resetWithout is reset if the socket still uses the conversation, which the store does
// not have any more.
func (s *Consumer) resetWithout(conversation room.ID) {
	s.Mu.Lock()
	used := s.conversation == conversation && !s.mustReload()
	if used {
		s.resets++
		s.forget()
	}
	s.Mu.Unlock()
	if used {
		s.Socket.Wake()
	}
}

// mustReload reports whether there was a reset that the socket has not followed yet. Mu
// is held.
func (s *Consumer) mustReload() bool { return s.resets != s.reloads }

// forget drops all that is known of the conversation. Mu is held.
func (s *Consumer) forget() {
	s.cursor, s.resume, s.receipts = cursor{}, nil, receipts{}
	s.dropReplay()
	s.attempts, s.fetchAt, s.overflowedAt, s.delayed = 0, 0, 0, false
}

// reload loads the conversation again after a reset, and sets the cursor to its newest
// message. The client is told with a resumed frame. reload returns false if the store
// failed; it has then scheduled a retry.
//
// Mu is held, but not during the read. Events that arrive meanwhile stay in the cursor,
// as before Open. Those that arrived earlier are dropped: their messages were committed
// before the read, so the client finds them in the history.
func (s *Consumer) reload(ctx context.Context) bool {
	if left := time.Until(time.Unix(0, s.fetchAt)); s.attempts > 0 && left > 0 {
		s.wakeAfter(left)
		return false
	}
	for s.mustReload() {
		resets, before := s.resets, s.conversation
		s.cursor = cursor{}
		s.Mu.Unlock()
		c, err := s.chat.store.Conversation(ctx, s.room, s.user)
		if err == nil && c.ID != before {
			s.chat.add(s, c.ID)
			s.chat.remove(s, before)
		}
		s.Mu.Lock()
		if err != nil {
			s.backOff()
			return false
		}
		s.conversation = c.ID
		if resets == s.resets {
			s.reloads = resets
			s.restart(&c)
		}
	}
	return true
}

// restart sets the cursor to the newest stored message. Mu is held.
func (s *Consumer) restart(c *room.Conversation) {
	s.cursor.skipTo(c.LastSeq)
	s.receipts.reload(c)
	s.resume = resetAt(c)
	s.attempts, s.fetchAt, s.delayed = 0, 0, false
	s.excusedSeq, s.caughtUpAt, s.overflowedAt = s.cursor.latest, time.Now().UnixNano(), 0
	s.chat.metrics.resets.WithLabelValues("restored").Inc()
}
