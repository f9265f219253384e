package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// A GapError is a message that came before one with a lower seq: the server
// broke its promise, and the session asks for the missing ones by resuming.
type GapError struct{ Expected, Got int64 }

func (e *GapError) Error() string {
	return fmt.Sprintf("message #%d came where #%d was next", e.Got, e.Expected)
}

// begin takes the first frame of a socket.
func (s *Session) begin(conn *Conn, f *Frame) {
	r := Record{Kind: RecordConnected, Ref: conn.Ref(), Frame: f}
	if s.endpoint == Chat {
		r.Since = s.since()
	}
	if s.endpoint == Chat && f.LastSeq != nil && r.Since == nil {
		s.advance(*f.LastSeq)
	}
	if f.LastSeq != nil {
		r.Seq = *f.LastSeq
	}
	s.record(r)
}

// receive takes every other frame. An error means that this socket is of no use.
// ctx ends with the socket, and so does what wg waits for.
func (s *Session) receive(ctx context.Context, wg *sync.WaitGroup, conn *Conn, f *Frame) error {
	e := Event{Kind: Arrived, Ref: conn.Ref(), Frame: f}
	if s.endpoint != Echo {
		switch {
		case f.Type == frame.TypeChatMessage && s.endpoint == Chat:
			if fresh, err := s.take(conn, f); err != nil || !fresh {
				return err
			}
		case f.Type == frame.TypeAck:
			s.acknowledged(conn, f)
		case f.Type == frame.TypeResumed:
			e.Kind = Resumed
			if err := s.resumed(conn, f); err != nil {
				return err
			}
		case f.Type == frame.TypeError && f.ClientMessageID != "":
			s.refused(conn, f)
		case f.Type == "token_expiring", f.Type == frame.TypeError && f.Code == "token_expiring":
			s.renew(ctx, wg, conn)
		}
	}
	s.tell(e)
	return nil
}

// take judges a message by its seq, and reports whether it is to be delivered.
func (s *Session) take(conn *Conn, f *Frame) (fresh bool, err error) {
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
	s.advance(f.Seq)
	r.Kind = RecordReceived
	s.record(r)
	return true, nil
}

func (s *Session) resumed(conn *Conn, f *Frame) error {
	highest, known := s.Highest()
	s.record(Record{Kind: RecordResumed, Ref: conn.Ref(), Seq: f.ToSeq, Expected: f.FromSeq, Frame: f})
	switch {
	case f.Reset:
		s.advance(f.ToSeq)
		s.record(Record{Kind: RecordReset, Ref: conn.Ref(), Seq: f.ToSeq, Expected: highest + 1, Frame: f})
	case known && f.ToSeq > highest:
		s.record(Record{Kind: RecordGap, Ref: conn.Ref(), Seq: f.ToSeq + 1, Expected: highest + 1})
		return &GapError{Expected: highest + 1, Got: f.ToSeq + 1}
	}
	return nil
}

func (s *Session) acknowledged(conn *Conn, f *Frame) {
	s.box.remove(f.ClientMessageID)
	s.record(Record{
		Kind: RecordAcknowledged, Ref: conn.Ref(), Seq: f.Seq, ID: f.ID,
		ClientMessageID: f.ClientMessageID, Duplicate: f.Duplicate, Frame: f,
	})
}

// refused takes an error frame about a message of ours: what will pass is sent
// again later, what will not is dropped.
func (s *Session) refused(conn *Conn, f *Frame) {
	switch f.Code {
	case "database_unavailable", "channel_layer_unavailable", "internal", "rate_limited", "busy":
		// Half the delay is kept in any case: a message that is refused at once
		// must not be sent again at once.
		s.record(Record{Kind: RecordDeferred, Ref: conn.Ref(), ClientMessageID: f.ClientMessageID, Detail: f.Code, Frame: f})
		s.box.again(f.ClientMessageID, time.Second/2+s.jitter(time.Second))
		return
	}
	s.drop(conn.Ref(), f.ClientMessageID, fmt.Errorf("%s: %s", f.Code, f.Detail))
}

func (s *Session) drop(ref, id string, cause error) {
	text, found := s.box.remove(id)
	if !found {
		return
	}
	s.record(Record{Kind: RecordDropped, Ref: ref, ClientMessageID: id, Detail: cause.Error()})
	s.tell(Event{Kind: Dropped, Ref: ref, Message: text, Err: cause})
}

// renew gives the socket a fresh token before its own expires. The sign-in may
// take a while, so it does not hold up the reading; where it fails, the socket
// is closed with 4001 in time, and that is dealt with then.
func (s *Session) renew(ctx context.Context, wg *sync.WaitGroup, conn *Conn) {
	s.token.refuse()
	wg.Go(func() {
		token, err := s.token.get(ctx, s.o.TokenSource)
		if err == nil && token != "" {
			_ = conn.Send(encodeAuth(token)) // a dead socket is the reader's to notice
		}
	})
}

// write is the goroutine that sends what the outbox holds.
func (s *Session) write(ctx context.Context, conn *Conn) {
	for {
		message, position, wait := s.box.next()
		if message == nil && position == nil {
			if !s.rest(ctx, wait) {
				return
			}
			continue
		}
		if s.pace.Wait(ctx) != nil {
			return
		}
		if position != nil {
			if conn.Send(position) != nil {
				return
			}
			s.box.positionWritten()
			continue
		}
		s.record(Record{Kind: RecordSent, Ref: conn.Ref(), ClientMessageID: message.id, Text: message.text})
		if conn.Send(message.encoded) != nil {
			return
		}
	}
}

// rest waits until there may be something to send; it reports false when the
// writer is over.
func (s *Session) rest(ctx context.Context, wait time.Duration) bool {
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-s.box.wake:
	case <-timeout:
	case <-ctx.Done():
		return false
	}
	return true
}
