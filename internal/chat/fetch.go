package chat

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// fetch reads the messages after the cursor from the store into the replay. It returns the
// bytes that the replay keeps.
//
// Mu is held by the caller, but not during the read: the channel layer must not wait for
// Postgres.
func (s *Consumer) fetch(ctx context.Context) (kept int) {
	if !s.cursor.gap && !s.cursor.hasHole() {
		return 0 // the messages have arrived while this read waited for its turn
	}
	cause := "hole"
	if s.cursor.gap {
		cause = "missed"
	}
	if s.resume != nil {
		cause = "resume"
	}
	conversation, after, resets, rows := s.conversation, s.cursor.seen, s.resets, s.rows
	if rows == 0 {
		rows = firstRows
	}
	s.cursor.gap = false // set again if messages are lost during the read
	var messages []room.Message
	var more bool
	var err error
	began := time.Now()
	s.unlocked(func() { messages, more, err = s.chat.store.After(ctx, conversation, after, rows, replayBytes) })
	if log := s.Socket.Log(); log.Watched() {
		log.Debug(component, "Messages read from Postgres", slog.String("because", cause), slog.Int64("after_seq", after),
			slog.Int("messages", len(messages)), slog.Duration("took", time.Since(began)), slog.Bool("failed", err != nil))
	}
	if resets != s.resets || s.closed {
		return 0 // the messages may be of before the reset, which has woken the writer
	}
	if err != nil {
		s.chat.metrics.repairs.WithLabelValues(cause, "failed").Inc()
		s.retry()
		return 0
	}
	s.chat.metrics.repairs.WithLabelValues(cause, "done").Inc()
	if s.delayed {
		s.excuse()
	}
	if hole := holeAfter(after, messages); hole > 0 {
		s.skipHole(hole)
		return 0
	}
	s.replay, s.attempts, s.fetchAt, s.fetchFirst = messages, 0, 0, false
	if more {
		s.cursor.gap = true
		s.rows = nextRows(rows, len(messages))
	}
	if len(messages) == 0 && s.cursor.hasHole() {
		s.retry() // a published message is not visible in the store yet
	}
	return messagesSize(messages)
}

// holeAfter returns the first number after seq that the store lacks although it has a later one,
// or 0. It will never have that message: numbers are committed in their order.
func holeAfter(seq int64, messages []room.Message) int64 {
	for i := range messages {
		if seq++; messages[i].Seq != seq {
			return seq
		}
	}
	return 0
}

// skipHole makes the client go on from the newest message, since somebody has deleted messages
// that it lacks. It would come back again and again for a number that is missing. Mu is held.
func (s *Consumer) skipHole(seq int64) {
	s.Socket.Log().Warn(component, fmt.Sprintf("Messages deleted: number %d of conversation %s is missing in Postgres; the client is reset", seq, s.conversation))
	s.resets++
	s.forget()
	s.Socket.Wake()
}

// nextRows returns how many messages the next read asks for, after one that asked for rows, got
// n and left more. The store reads each row that it is asked for, but returns only those that fit
// into a page. So a read asks for one message more than the last one got, or for twice as many if
// all did fit.
func nextRows(rows, n int) int {
	if n < rows {
		return n + 1
	}
	return min(2*rows, maxRows)
}

// messagesSize returns the memory of messages in bytes.
func messagesSize(messages []room.Message) (size int) {
	for i := range messages {
		size += len(messages[i].Text) + len(messages[i].Metadata) + 256
	}
	return size
}

// excuse forgives the client that it is behind, because it was not its fault. Mu is held.
func (s *Consumer) excuse() {
	s.excusedSeq, s.delayed = max(s.excusedSeq, s.cursor.latest), false
	s.caughtUpAt, s.overflowedAt = time.Now().UnixNano(), 0
}

// dropReplay drops the replay, and gives back what it took from the account. Mu is held.
func (s *Consumer) dropReplay() {
	if s.replay != nil {
		s.replay = nil
		s.release()
	}
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
	d := backoff(s.attempts)
	s.fetchAt = time.Now().Add(d).UnixNano()
	s.delayed = true
	s.wakeAfter(d)
}

// backoff returns the pause after so many failures in a row.
func backoff(attempts int) time.Duration {
	d := min(minRetry<<min(attempts-1, 10), maxRetry)
	return d/2 + rand.N(d/2)
}
