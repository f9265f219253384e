package chat

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// startHistory starts to read the next page of history that the client asked for, unless it is
// the replay's turn. Mu is held.
func (s *Consumer) startHistory(ctx context.Context) {
	replayFirst := s.fetchFirst && (s.cursor.gap || s.cursor.hasHole())
	if len(s.asked) > 0 && !replayFirst && s.mayRead() {
		s.read(ctx, pageBytes, s.readHistory)
	}
}

// startFetch starts to read messages that are missing, unless it is too early. Mu is held.
func (s *Consumer) startFetch(ctx context.Context) {
	if s.mayRead() && !s.mustWait() {
		s.read(ctx, replayBytes, s.fetch)
	}
}

// mayRead reports whether a read may start. There is one at a time, and none while messages are
// kept that the writer has not taken. If the budget is exhausted the writer is woken in time.
// Mu is held.
func (s *Consumer) mayRead() bool {
	if s.reading || s.page != nil || s.replay != nil {
		return false
	}
	left := time.Duration(s.pausedUntil - time.Now().UnixNano())
	if s.pausedUntil != 0 && left > 0 {
		s.wakeAfter(left)
		return false
	}
	return true
}

// read lets f read from the store in a goroutine when it is the user's turn, and then wakes the
// writer. It takes size bytes from the account meanwhile, and afterwards as many as f returns,
// until [Consumer.release]. If the account refuses, the writer tries again later. Mu is held,
// also when f is called.
func (s *Consumer) read(ctx context.Context, size int, f func(context.Context) (kept int)) {
	s.reading = true
	s.chat.turns.add(s.user, reading{size, func() {
		defer s.Socket.Wake()
		s.Mu.Lock()
		defer s.Mu.Unlock()
		s.reading = false
		if s.closed {
			return
		}
		account := s.Socket.Account()
		if !account.Take(size) {
			s.pauses++
			s.pausedUntil = time.Now().Add(backoff(s.pauses)).UnixNano()
			s.delayed = true
			return
		}
		s.reading, s.pauses, s.pausedUntil = true, 0, 0
		kept := s.recovered(ctx, f)
		s.reading = false
		if s.closed {
			return // the session has given back everything
		}
		s.kept = min(kept, size) // one message may be larger than a page
		account.Give(size - s.kept)
	}})
}

// recovered calls f. A panic ends the session.
func (s *Consumer) recovered(ctx context.Context, f func(context.Context) int) (kept int) {
	defer func() {
		if p := recover(); p != nil {
			s.failure = fmt.Errorf("panic in a read: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}

// unlocked calls f without Mu, which is held before and afterwards.
func (s *Consumer) unlocked(f func()) {
	s.Mu.Unlock()
	defer s.Mu.Lock()
	f()
}

// release gives back what the consumer keeps. Mu is held.
func (s *Consumer) release() {
	if !s.closed {
		s.Socket.Account().Give(s.kept)
	}
	s.kept = 0
}
