package chat

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// fetch reads what follows the cursor from the store. The lock is not held
// meanwhile: the channel layer must never wait for Postgres.
func (s *Consumer) fetch(ctx context.Context) {
	cause := "hole"
	if s.cursor.gap {
		cause = "missed"
	}
	if s.resume != nil {
		cause = "resume"
	}
	after := s.cursor.seen
	s.cursor.gap = false // what is missed from here on counts again
	s.mu.Unlock()
	messages, err := s.chat.store.After(ctx, s.conversation, after, page)
	s.mu.Lock()
	if err != nil {
		s.chat.metrics.repairs.WithLabelValues(cause, "failed").Inc()
		s.retry()
		return
	}
	s.chat.metrics.repairs.WithLabelValues(cause, "done").Inc()
	if s.waiting { // the delay was ours
		s.target, s.waiting = max(s.target, s.cursor.latest), false
		s.level, s.overflowed = time.Now().UnixNano(), 0
	}
	s.replay, s.attempts, s.lookAt = atMost(messages, replayBytes), 0, 0
	if len(messages) == page || len(s.replay) < len(messages) {
		s.cursor.gap = true // there is more, or may be
	}
	if len(messages) == 0 && s.cursor.hole() {
		s.retry() // a message was published that the store does not show yet
	}
}

// atMost returns the first messages whose texts have so many bytes, and at least one: a
// reader that stalls in the midst of a page keeps what is left of it. The others are read
// again.
func atMost(messages []room.Message, limit int) []room.Message {
	size := 0
	for i := range messages {
		if size += len(messages[i].Text); size > limit && i > 0 {
			return slices.Clone(messages[:i]) // keeps nothing of the others alive
		}
	}
	return messages
}

func (s *Consumer) retry() {
	s.cursor.gap = true
	s.attempts++
	d := min(retryLeast<<min(s.attempts-1, 10), retryMost)
	d = d/2 + rand.N(d/2)
	s.lookAt = time.Now().Add(d).UnixNano()
	s.waiting = true
	s.look(d)
}
