package client

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// A GapError means that a message arrived before one with a lower seq, which violates the
// protocol. The session reconnects and resumes.
type GapError struct{ Expected, Got int64 }

func (e *GapError) Error() string {
	return fmt.Sprintf("received message #%d where #%d was expected", e.Got, e.Expected)
}

// handleConnected handles the first frame of a socket.
func (s *Session) handleConnected(conn *Conn, f *Frame) {
	r := Record{Kind: RecordConnected, Ref: conn.Ref(), Frame: f}
	if s.endpoint == Chat {
		r.Since, _ = s.since()
	}
	if s.endpoint == Chat && f.LastSeq != nil && r.Since == nil {
		s.advance(*f.LastSeq, "")
	}
	if highest, known := s.Highest(); s.endpoint == Chat && known && highest < f.FirstSeq-1 {
		s.advance(f.FirstSeq-1, "") // what was between is deleted: the replay begins at FirstSeq
	}
	if f.LastSeq != nil {
		r.Seq = *f.LastSeq
	}
	s.record(r)
}

// handleFrame handles every later frame. An error means that the session must reconnect.
// ctx ends with the socket, and goroutines that wg waits for must end with ctx.
func (s *Session) handleFrame(ctx context.Context, wg *sync.WaitGroup, conn *Conn, f *Frame) error {
	e := Event{Kind: Arrived, Ref: conn.Ref(), Frame: f}
	if s.endpoint != Echo {
		switch {
		case f.Type == frame.TypeChatMessage && s.endpoint == Chat:
			if isNew, err := s.handleMessage(conn, f); err != nil || !isNew {
				return err
			}
		case f.Type == frame.TypeAck:
			s.handleAck(conn, f)
		case f.Type == frame.TypeResumed:
			e.Kind = Resumed
			if err := s.handleResumed(conn, f); err != nil {
				return err
			}
		case f.Type == frame.TypeError && s.refusedID(f) != "":
			s.handleRefusal(conn, s.refusedID(f), f)
		case f.Type == "token_expiring", f.Type == frame.TypeError && f.Code == "token_expiring":
			s.renewToken(ctx, wg, conn)
		}
	}
	s.emit(e)
	return nil
}

// handleMessage checks the seq of a chat message. It returns true if the message is the
// next one in order.
func (s *Session) handleMessage(conn *Conn, f *Frame) (isNew bool, err error) {
	r := Record{Ref: conn.Ref(), Seq: f.Seq, ID: f.ID, ClientMessageID: f.ClientMessageID, Frame: f}
	highest, known := s.Highest()
	switch {
	case known && f.Seq <= highest:
		r.Kind = RecordDuplicate
		s.record(r)
		return false, nil
	case known && f.Seq > highest+1:
		r.Kind, r.Expected = RecordGap, highest+1
		s.record(r)
		return false, &GapError{Expected: r.Expected, Got: r.Seq}
	}
	s.advance(f.Seq, f.ID)
	r.Kind = RecordReceived
	s.record(r)
	return true, nil
}

// handleResumed handles the end of a replay, or a reset. After a reset, which may come at
// any time, the messages that the session has delivered mean nothing any more.
func (s *Session) handleResumed(conn *Conn, f *Frame) error {
	highest, known := s.Highest()
	s.record(Record{Kind: RecordResumed, Ref: conn.Ref(), Seq: f.ToSeq, Expected: f.FromSeq, Frame: f})
	switch {
	case f.Reset:
		last := f.ToSeq // equal to last_seq, which servers of before do not send
		if f.LastSeq != nil {
			last = *f.LastSeq
		}
		s.advance(last, "")
	case known && f.ToSeq > highest:
		s.record(Record{Kind: RecordGap, Ref: conn.Ref(), Seq: f.ToSeq + 1, Expected: highest + 1})
		return &GapError{Expected: highest + 1, Got: f.ToSeq + 1}
	}
	return nil
}

func (s *Session) handleAck(conn *Conn, f *Frame) {
	s.outbox.remove(f.ClientMessageID)
	s.record(Record{
		Kind: RecordAcknowledged, Ref: conn.Ref(), Seq: f.Seq, ID: f.ID,
		ClientMessageID: f.ClientMessageID, Duplicate: f.Duplicate, Frame: f,
	})
}

// refusedID returns the id of the message that an error frame is about, or "". The server may
// have been unable to read it: then it is the message in flight.
func (s *Session) refusedID(f *Frame) string {
	switch f.Code {
	case "bad_json", "bad_frame", "bad_text":
		return cmp.Or(f.ClientMessageID, s.outbox.inFlight())
	}
	return f.ClientMessageID
}

// handleRefusal handles an error frame about one of our messages. The message is dropped after
// the words that docs/protocol.md lists as final, and sent again after any other, including
// words that this client does not know.
func (s *Session) handleRefusal(conn *Conn, id string, f *Frame) {
	switch f.Code {
	case "bad_json", "bad_frame", "bad_text", "unknown_type", "empty_message", "too_long", "out_of_range", "wrong_role", "blocked":
		s.dropMessage(conn.Ref(), id, fmt.Errorf("%s: %s", f.Code, f.Detail))
		return
	}
	// The delay has a minimum: the server may refuse at once, and then again.
	s.record(Record{Kind: RecordDeferred, Ref: conn.Ref(), ClientMessageID: id, Detail: f.Code, Frame: f})
	s.outbox.resendLater(id, time.Second/2+s.jitter(time.Second))
}

func (s *Session) dropMessage(ref, id string, cause error) {
	text, found := s.outbox.remove(id)
	if !found {
		return
	}
	s.record(Record{Kind: RecordDropped, Ref: ref, ClientMessageID: id, Detail: cause.Error()})
	s.emit(Event{Kind: Dropped, Ref: ref, Message: text, Err: cause})
}

// renewToken sends a new token before the current one expires. It gets the token in the
// background, since a sign-in may take some time. If that fails, the server closes the
// socket with 4001 and the session reconnects.
func (s *Session) renewToken(ctx context.Context, wg *sync.WaitGroup, conn *Conn) {
	s.token.markRefused()
	wg.Go(func() {
		token, err := s.token.get(ctx, s.o.TokenSource)
		if err == nil && token != "" {
			_ = conn.Send(encodeAuth(token)) // the reader notices if the socket has ended
		}
	})
}

// write is the goroutine that sends the contents of the outbox.
func (s *Session) write(ctx context.Context, conn *Conn) {
	for {
		message, position, wait := s.outbox.take()
		if message == nil && position == nil {
			if !s.waitForOutbox(ctx, wait) {
				return
			}
			continue
		}
		if s.limiter.Wait(ctx) != nil {
			return
		}
		if position != nil {
			if conn.Send(position) != nil {
				return
			}
			s.outbox.confirmPosition()
			continue
		}
		s.record(Record{Kind: RecordSent, Ref: conn.Ref(), ClientMessageID: message.id, Text: message.text})
		if conn.Send(message.encoded) != nil {
			return
		}
	}
}

// waitForOutbox waits until there may be something to send, at most for wait if that is
// not 0. It returns false when ctx ends.
func (s *Session) waitForOutbox(ctx context.Context, wait time.Duration) bool {
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-s.outbox.wake:
	case <-timeout:
	case <-ctx.Done():
		return false
	}
	return true
}
