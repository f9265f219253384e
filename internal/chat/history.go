package chat

import (
	"context"
	"log/slog"
	"slices"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// maxAsked is the number of pages of history that may wait. The messages of a client that asks
// for more are not handled until it has taken some.
const maxAsked = 8

// pageBytes is what a page of history needs while it is made: the messages and the frame.
const pageBytes = 2 * frame.MaxPage

// A historyRequest is a page of history that a client asked for.
type historyRequest struct {
	beforeSeq       int64
	limit           int
	clientMessageID string
}

// askHistory queues a request for a page of earlier messages. The pages are read one after the
// other, each when the writer has taken the one before. So a client may ask for many pages, and
// one that does not read makes the server keep one.
func (s *Consumer) askHistory(in frame.Client) {
	s.Mu.Lock()
	s.asked = append(s.asked, historyRequest{in.BeforeSeq, in.Limit, in.ClientMessageID})
	s.Mu.Unlock()
	s.Socket.Wake()
}

// Ready reports whether the client has taken enough for another message to be handled. See
// session.Pacer.
func (s *Consumer) Ready() bool {
	if !s.Base.Ready() {
		return false
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return len(s.asked) < maxAsked
}

// takePage returns the page of history that is to be sent, or nil. Mu is held.
func (s *Consumer) takePage() []byte {
	if s.page == nil {
		if s.pageSent { // what came while the client took the page is late
			s.pageSent = false
			s.excuse()
		}
		return nil
	}
	page := s.page
	s.receipts.noteSent(s.pageSeq, true)
	s.receipts.noteSent(s.pageTheirs, false)
	s.page, s.pageSent = nil, true
	s.release()
	return page
}

// readHistory reads the page that the client asked for first, and returns its size. Mu is held
// by the caller, but not during the read.
func (s *Consumer) readHistory(ctx context.Context) (kept int) {
	in := s.asked[0]
	s.asked, s.fetchFirst = s.asked[1:], true
	if len(s.asked) == 0 {
		s.asked = nil // an idle socket keeps no memory for it
	}
	var page []byte
	var full error
	var last, theirs int64
	s.unlocked(func() {
		messages, more, err := s.before(ctx, in)
		if err != nil {
			s.Socket.Log().Error(component, "Database error in history: "+err.Error(), slog.String("cause", cause.Of(err)))
			full = s.Refuse(storeInvalid(err), in.clientMessageID)
			return
		}
		var n int
		if page, n = frame.EncodeHistory(messages, more); n > 0 {
			sent := messages[len(messages)-n:]
			last, theirs = sent[n-1].Seq, s.lastOfOthers(sent)
			endpoint.Audit(s.Socket.Log(), s.role, s.user, s.room, name, "read history",
				slog.Int64("from_seq", sent[0].Seq), slog.Int64("to_seq", sent[n-1].Seq))
		}
	})
	s.page, s.pageSeq, s.pageTheirs, s.failure = page, last, theirs, full
	return len(page)
}

// lastOfOthers returns the seq of the last message that the user has not sent, or 0.
func (s *Consumer) lastOfOthers(messages []room.Message) int64 {
	for i := range slices.Backward(messages) {
		if messages[i].Sender != s.user {
			return messages[i].Seq
		}
	}
	return 0
}

// before reads a page. If there is a reset meanwhile it reads again: the page may be one of
// before.
func (s *Consumer) before(ctx context.Context, in historyRequest) (messages []room.Message, more bool, err error) {
	for {
		s.Mu.Lock()
		resets, conversation := s.resets, s.conversation
		s.Mu.Unlock()
		messages, more, err = s.chat.store.Before(ctx, conversation, in.beforeSeq, in.limit, frame.MaxPage)
		s.Mu.Lock()
		unchanged := resets == s.resets
		s.Mu.Unlock()
		if unchanged || err != nil {
			return messages, more, err
		}
	}
}
