package chat

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// fetch reads the messages after the cursor from the store into the replay. Mu is
// held by the caller, but not during the read: the channel layer must not wait for
// Postgres.
func (s *Consumer) fetch(ctx context.Context) {
	cause := "hole"
	if s.cursor.gap {
		cause = "missed"
	}
	if s.resume != nil {
		cause = "resume"
	}
	conversation, after := s.conversation, s.cursor.seen
	s.cursor.gap = false // set again if messages are lost during the read
	s.Mu.Unlock()
	messages, err := s.chat.store.After(ctx, conversation, after, pageSize)
	s.Mu.Lock()
	if s.mustReload() {
		return // the messages may be of before the reset, which has woken the writer
	}
	if err != nil {
		s.chat.metrics.repairs.WithLabelValues(cause, "failed").Inc()
		s.retry()
		return
	}
	s.chat.metrics.repairs.WithLabelValues(cause, "done").Inc()
	if s.delayed {
		s.excusedSeq, s.delayed = max(s.excusedSeq, s.cursor.latest), false
		s.caughtUpAt, s.overflowedAt = time.Now().UnixNano(), 0
	}
	s.replay, s.attempts, s.fetchAt = limitText(messages, replayBytes), 0, 0
	if len(messages) == pageSize || len(s.replay) < len(messages) {
		s.cursor.gap = true // there may be more
	}
	if len(messages) == 0 && s.cursor.hasHole() {
		s.retry() // a published message is not visible in the store yet
	}
}

// limitText returns the first messages with at most limit bytes of text together,
// but at least one. It bounds what a stalled reader keeps; the others are read again.
func limitText(messages []room.Message, limit int) []room.Message {
	size := 0
	for i := range messages {
		if size += len(messages[i].Text); size > limit && i > 0 {
			return slices.Clone(messages[:i]) // a subslice would keep the others in memory
		}
	}
	return messages
}

// retry schedules another fetch.
func (s *Consumer) retry() {
	s.cursor.gap = true
	s.backOff()
}

// backOff delays the next read of the store after a failed one, with exponential backoff
// and jitter, and wakes the writer in time.
func (s *Consumer) backOff() {
	s.attempts++
	d := min(minRetry<<min(s.attempts-1, 10), maxRetry)
	d = d/2 + rand.N(d/2)
	s.fetchAt = time.Now().Add(d).UnixNano()
	s.delayed = true
	s.wakeAfter(d)
}
