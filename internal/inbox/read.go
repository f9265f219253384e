package inbox

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// pageRows and pageBytes bound one read of conversations.
	pageRows, pageBytes = 100, 64 << 10
	// staleWait is how long a lost event may arrive late before the store is read.
	staleWait = 50 * time.Millisecond
	// minRetry and maxRetry bound the backoff between failed reads of the store.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
	// entryBytes is about what a conversation takes in memory.
	entryBytes = 256
)

// A pager is how far the conversations of a user have been read.
type pager struct {
	behind   *room.Place
	done     bool // the last page was read
	complete bool // inbox_complete was sent
	failures int  // since the last good read
	notUntil time.Time
}

// restart makes the next page the first one. With again, inbox_complete is sent again.
func (p *pager) restart(again bool) { *p = pager{complete: p.complete && !again} }

// Next returns the answers of the outbox, then what has changed. It reads the store when it
// has nothing to send.
func (s *Consumer) Next(ctx context.Context, wait bool) (frame.Message, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for {
		if m := s.TakeLocked(); m.Data != nil {
			return m, nil
		}
		if f := s.list.next(s.pager.complete); f != nil {
			return frame.Message{Data: f}, nil
		}
		switch {
		case s.ended:
			return frame.Message{}, nil
		case s.pager.done && !s.pager.complete && len(s.list.stale) == 0:
			s.pager.complete = true
			return frame.Message{Data: frame.InboxComplete}, nil
		case s.pager.done && len(s.list.stale) == 0 && len(s.list.unwatched) == 0, s.mustWait():
			return frame.Message{}, nil
		case !wait:
			return frame.Message{}, frame.ErrWait
		}
		read := s.repair
		switch {
		case !s.pager.done:
			read = s.readPage
		case len(s.list.unwatched) > 0:
			read = s.watch
		}
		if err := read(ctx); err != nil {
			s.pager.failures++
			s.pager.notUntil = time.Now().Add(min(maxRetry, minRetry<<min(s.pager.failures, 6)))
		} else {
			s.pager.failures, s.pager.notUntil = 0, time.Now().Add(staleWait)
		}
		if err := s.account(); err != nil {
			return frame.Message{}, err
		}
	}
}

// mustWait reports whether it is too early to read the store. If so, the writer is woken in
// time. Mu is held.
func (s *Consumer) mustWait() bool {
	left := time.Until(s.pager.notUntil)
	if left <= 0 || s.pager.failures == 0 && !s.pager.done {
		return false
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(left, s.Socket.Wake)
	} else {
		s.timer.Reset(left)
	}
	return true
}

// readPage reads the next page of conversations. Mu is held, but not during the read.
func (s *Consumer) readPage(ctx context.Context) error {
	resets, behind := s.inbox.resets.Load(), s.pager.behind
	var page []room.Summary
	var more bool
	err := s.read(ctx, "page", func() (err error) {
		page, more, err = s.inbox.store.Summaries(ctx, s.user, behind, pageRows, pageBytes)
		return err
	})
	if err != nil || s.inbox.resets.Load() != resets || s.pager.behind != behind {
		return err // the page is of before a reset or a restart
	}
	for i := range page {
		s.list.put(&page[i])
	}
	if s.pager.done = !more || len(page) == 0; !s.pager.done {
		place := page[len(page)-1].Place()
		s.pager.behind = &place
	}
	return s.watch(ctx)
}

// repair reads conversations that are stale. Mu is held, but not during the read.
func (s *Consumer) repair(ctx context.Context) error {
	resets, restarts, ids := s.inbox.resets.Load(), s.restarts, s.list.takeStale(pageRows)
	var found []room.Summary
	err := s.read(ctx, "repair", func() (err error) {
		found, err = s.inbox.store.SummariesOf(ctx, s.user, ids)
		return err
	})
	switch {
	case s.restarts != restarts:
		return err // the list is new
	case err != nil, s.inbox.resets.Load() != resets: // or what was found is of before a reset of other sockets
		s.list.stale = append(s.list.stale, ids...)
		return err
	}
	for i := range found {
		s.list.put(&found[i])
	}
	exists := map[room.ID]bool{}
	for i := range found {
		exists[found[i].ID] = true
	}
	for _, id := range ids {
		if !exists[id] {
			s.list.drop(id)
		}
	}
	return nil
}

// read calls f, without Mu, when it is its turn.
func (s *Consumer) read(ctx context.Context, reason string, f func() error) error {
	s.Mu.Unlock()
	defer s.Mu.Lock()
	select {
	case s.inbox.reads <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the session ends
	}
	defer func() { <-s.inbox.reads }()
	err := f()
	s.inbox.metrics.read(reason, err)
	return err
}

// account takes what the list holds from the budget. Mu is held.
func (s *Consumer) account() error {
	if n := len(s.list.entries)*entryBytes - s.taken; n > 4<<10 {
		if !s.Socket.Account().Take(n) {
			return endpoint.OverBudget("the replica is short of memory for the conversations of this inbox")
		}
		s.taken += n
	}
	return nil
}
