package chat

import (
	"errors"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// maxUnmarked is the number of own messages in a row after which sending one marks the former
// ones as read. A message of the other side is marked by the next one that the user sends.
const maxUnmarked = 100

// Receipts is what chat needs of package receipt.
type Receipts interface {
	// Mark raises the cursor of a target soon. It does not block. See receipt.Receipts.
	Mark(t receipt.Target, c room.Cursor, done func(room.Cursor, error))
	// Reset drops all marks that are not stored: the database was restored or replaced.
	Reset()
}

// A toldCursor is the cursor of one side of the room, as this replica and the client know it.
type toldCursor struct{ known, told room.Cursor }

// The sides of a room.
const (
	customerSide = iota
	therapistSide
	sides
)

// receipts is what a socket knows about the cursors of its conversation. Mu of the consumer
// guards it.
type receipts struct {
	cursors [sides]toldCursor
	// sent is the highest seq that the client was sent, and theirs that of a message of somebody
	// else. marked is the highest seq that this socket has marked as read.
	sent, theirs, marked int64
}

// noteSent notes that the client was sent a message.
func (r *receipts) noteSent(seq int64, own bool) {
	r.sent = max(r.sent, seq)
	if !own {
		r.theirs = max(r.theirs, seq)
	}
}

// raise raises a known cursor, and returns whether the client is to be told.
func (r *receipts) raise(side int, c room.Cursor) bool {
	t := &r.cursors[side]
	t.known = t.known.Advanced(c)
	return t.known != t.told
}

// load sets what the client is told in the connected frame.
func (r *receipts) load(c *room.Conversation) {
	for side, loaded := range [sides]room.Cursor{c.Customer, c.Therapist} {
		r.raise(side, loaded)
		r.cursors[side].told = loaded
	}
}

// reload sets what the store has after a reset. The client is told everything again.
func (r *receipts) reload(c *room.Conversation) {
	for side, loaded := range [sides]room.Cursor{c.Customer, c.Therapist} {
		r.raise(side, loaded)
		r.cursors[side].told = room.Cursor{}
	}
}

// next returns the next receipt that the client is to be told, without a user, and whose it is.
func (r *receipts) next() (f frame.Receipt, side int) {
	for side := range r.cursors {
		t := &r.cursors[side]
		if t.known.Read > t.told.Read {
			t.told = t.told.Advanced(room.Cursor{Read: t.known.Read})
			return frame.Receipt{Type: frame.TypeRead, Seq: t.told.Read}, side
		}
		if t.known.Delivered > t.told.Delivered {
			t.told.Delivered = t.known.Delivered
			return frame.Receipt{Type: frame.TypeDelivered, Seq: t.told.Delivered}, side
		}
	}
	return frame.Receipt{}, 0
}

// side returns the side of a user of the room. ok is false for support.
func (s *Consumer) side(user room.UserID) (side int, ok bool) {
	switch user {
	case s.room.Customer:
		return customerSide, true
	case s.room.Therapist:
		return therapistSide, true
	}
	return 0, false
}

// nextReceipt returns the next receipt for the client, or a message without data. Mu is held.
func (s *Consumer) nextReceipt() frame.Message {
	f, side := s.receipts.next()
	if f.Seq == 0 {
		return frame.Message{}
	}
	f.UserID = [sides]room.UserID{s.room.Customer, s.room.Therapist}[side]
	return frame.Message{Data: frame.Encode(f)}
}

// deliverReceipt takes a receipt that was published at the time at.
func (s *Consumer) deliverReceipt(r event.Receipt, at time.Time) {
	if time.Since(at) > maxMessageAge {
		s.chat.requestSweep() // it finds the cursor if the store has it
		return
	}
	s.raiseCursor(room.Receipt(r), func() bool { return true })
}

// raiseCursor takes the cursor of a user, and wakes the writer if the client is to be told. valid
// is called with Mu: what was read before a reset is not.
func (s *Consumer) raiseCursor(r room.Receipt, valid func() bool) {
	side, ok := s.side(r.User)
	if !ok {
		return
	}
	s.Mu.Lock()
	wake := !s.closed && (!s.opened || r.Conversation == s.conversation) && valid() && s.receipts.raise(side, r.Cursor) && s.opened
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// mark handles a receipt of the client. If this socket has not heard of the message, the store
// decides whether there is one.
func (s *Consumer) mark(in frame.Client) error {
	side, ok := s.side(s.user)
	if !ok || s.role == room.Support {
		return s.Refuse(&room.Invalid{Code: "wrong_role", Detail: "support sends no receipts"}, "")
	}
	c := room.Cursor{Delivered: in.Seq}
	if in.Type == frame.TypeRead {
		c.Read = in.Seq
	}
	s.Mu.Lock()
	known := s.receipts.cursors[side].known
	// Before the client has heard of a reset, its numbers are those of other messages.
	drop := s.mustReload() || known.Advanced(c) == known
	beyond := in.Seq > s.cursor.latest
	if !beyond {
		s.receipts.marked = max(s.receipts.marked, c.Read)
	}
	t := s.target()
	if !drop && !beyond {
		s.chat.receipts.Mark(t, c, nil) // with Mu, so that a reset drops it
	}
	s.Mu.Unlock()
	if !drop && beyond {
		s.chat.receipts.Mark(t, c, s.markFailed)
	}
	return nil
}

// target returns whose cursor the user moves. Mu is held.
func (s *Consumer) target() receipt.Target {
	return receipt.Target{Conversation: s.conversation, Room: s.room, User: s.user}
}

// markFailed answers a receipt that was not stored. If it was, the read or delivered frame is the
// answer.
func (s *Consumer) markFailed(_ room.Cursor, err error) {
	var bad *room.Invalid
	switch {
	case err == nil, errors.Is(err, receipt.ErrReset):
		return
	case errors.Is(err, receipt.ErrBeyond):
		bad = &room.Invalid{Code: "out_of_range", Field: "seq", Detail: "the conversation has no message with this seq"}
	default:
		bad = storeInvalid(err)
	}
	_ = s.Refuse(bad, "") // if the outbox is full, the client does not read this answer either
}

// beforeSend returns the conversation, whose id changes if the database was replaced, and the
// cursor that the user reaches by sending a message: who answers has read what this socket was
// sent. The cursor is zero if it does not matter yet. resets is for markSent.
func (s *Consumer) beforeSend() (t receipt.Target, read room.Cursor, resets int) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	side, ok := s.side(s.user)
	r := &s.receipts
	marked := max(r.marked, r.cursors[side].known.Read)
	if ok && r.sent > marked && (r.theirs > marked || r.sent-marked > maxUnmarked) {
		r.marked = r.sent
		read.Read = r.sent
	}
	return s.target(), read, s.resets
}

// markSent stores the cursor that beforeSend returned, unless there was a reset meanwhile: its
// number may be that of another message now.
func (s *Consumer) markSent(t receipt.Target, read room.Cursor, resets int) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if read.Read > 0 && resets == s.resets {
		s.chat.receipts.Mark(t, read, nil)
	}
}

// setCursors adds what concerns the user to the connected frame. Support has no cursor.
func (s *Consumer) setCursors(f *frame.Connected, c *room.Conversation) {
	own, peer := c.Customer, c.Therapist
	switch side, ok := s.side(s.user); {
	case !ok:
		return
	case side == therapistSide:
		own, peer = peer, own
	}
	f.DeliveredSeq, f.ReadSeq, f.Unread = &own.Delivered, &own.Read, &c.Unread
	f.Peer = &frame.Peer{ID: s.peer, DeliveredSeq: peer.Delivered, ReadSeq: peer.Read}
}
