package soak

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

const (
	// meanMarking is the mean time between two receipts of a device.
	meanMarking = 300 * time.Millisecond
	// readShare and typingShare are how often a device reads and types when it could mark.
	readShare, typingShare = 0.3, 0.1
)

// A cursor is how far a user has received and read the conversation.
type cursor struct{ delivered, read int64 }

func (c cursor) with(delivered, read int64) cursor {
	c.read = max(c.read, read)
	c.delivered = max(c.delivered, delivered, c.read)
	return c
}

// A state is what a device was told about its conversation, and what it has marked.
type state struct {
	mu           sync.Mutex
	conversation string // of an inbox
	last         int64  // of an inbox
	unread       int    // of an inbox
	complete     int    // inbox_complete frames on this socket
	cursors      map[int64]cursor
	online       bool   // the other side
	marked       cursor // by this device
	sent         cursor // receipts that the server has got or told since the socket opened
}

// handleState handles frames about the state of the conversation.
func (d *device) handleState(e client.Event) {
	s, f := &d.state, e.Frame
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Kind == client.Connected:
		d.handleConnected(e.Ref, f)
	case e.Kind == client.Resumed && f.Reset:
		d.forget(e.Ref)
	case e.Kind != client.Arrived:
	case f.Type == frame.TypeRead:
		d.tell(e.Ref, f.UserID, nil, &f.Seq)
	case f.Type == frame.TypeDelivered:
		d.tell(e.Ref, f.UserID, &f.Seq, nil)
	case f.Type == frame.TypePresence:
		d.tellPresence(e.Ref, f.UserID, f.Online)
	case f.Type == frame.TypeTyping:
		d.history.Add(judge.Entry{Kind: judge.Typing, Ref: e.Ref, Of: f.UserID})
	case f.Type == frame.TypeConversation:
		s.conversation, s.last, s.unread = f.ConversationID, *f.LastSeq, f.Unread
		d.room.advance(s.last)
		d.history.Add(judge.Entry{Kind: judge.Counted, Ref: e.Ref, Seq: s.last, Unread: f.Unread})
	case f.Type == frame.TypeInboxComplete:
		if s.complete++; s.complete > 1 { // the database was restored or replaced
			d.resets.Add(1)
			d.history.Add(judge.Entry{Kind: judge.Resumed, Ref: e.Ref, Reset: true})
			d.forget(e.Ref)
		}
	case f.Type == frame.TypeError && f.ClientMessageID == "":
		s.sent = s.cursors[int64(d.user)] // a receipt was refused: it is sent again
		d.history.Add(judge.Entry{Kind: judge.Deferred, Ref: e.Ref, Detail: f.Code + ": " + f.Detail})
	}
}

// forget follows a reset: what the device knows is that of other messages.
func (d *device) forget(ref string) {
	d.state.cursors, d.state.marked, d.state.sent = map[int64]cursor{}, cursor{}, cursor{}
	d.history.Add(judge.Entry{Kind: judge.Forgot, Ref: ref})
}

func (d *device) handleConnected(ref string, f *client.Frame) {
	s := &d.state
	s.online, s.complete, s.sent = false, 0, cursor{}
	if s.cursors == nil || d.inbox { // an inbox is not told what was read meanwhile
		s.cursors = map[int64]cursor{}
	}
	if f.Peer == nil {
		return // support or an inbox
	}
	d.tell(ref, int64(d.user), &f.DeliveredSeq, &f.ReadSeq)
	d.tell(ref, f.Peer.ID, &f.Peer.DeliveredSeq, &f.Peer.ReadSeq)
	if f.Peer.Online != nil {
		d.tellPresence(ref, f.Peer.ID, *f.Peer.Online)
	}
	d.history.Add(judge.Entry{Kind: judge.Counted, Ref: ref, Seq: *f.LastSeq, Read: &f.ReadSeq, Unread: f.Unread})
	s.sent = cursor{f.DeliveredSeq, f.ReadSeq}
}

func (d *device) tell(ref string, user int64, delivered, read *int64) {
	d.history.Add(judge.Entry{Kind: judge.Told, Ref: ref, Of: user, Delivered: delivered, Read: read})
	c := d.state.cursors[user]
	if delivered != nil {
		c = c.with(*delivered, 0)
	}
	if read != nil {
		c = c.with(0, *read)
	}
	d.state.cursors[user] = c
}

func (d *device) tellPresence(ref string, user int64, online bool) {
	d.state.online = online
	d.history.Add(judge.Entry{Kind: judge.Presence, Ref: ref, Of: user, Online: online})
}

// markAll marks what the device receives as delivered until ctx ends. Until the devices fall
// silent it also reads some of it, and types sometimes.
func (d *device) markAll(ctx context.Context) {
	if d.user == support {
		return
	}
	for pause(ctx, time.Duration(rand.ExpFloat64()*float64(meanMarking))) {
		d.mark()
		if d.talks.Load() && !d.inbox && rand.Float64() < typingShare {
			_ = d.session.Send(client.EncodeTyping(rand.IntN(3) > 0)) // lost with the socket
		}
	}
}

// mark sends the receipts that the server does not have. After a reconnect these are all that
// connected says less than.
func (d *device) mark() {
	last, known := d.received()
	if !known || !d.connected.Load() {
		return
	}
	s := &d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = s.marked.with(last, 0)
	if d.talks.Load() && last > 0 && rand.Float64() < readShare {
		s.marked = s.marked.with(0, rand.Int64N(last)+1)
	}
	d.sendReceipt(client.Read, s.marked.read, &s.sent.read)
	d.sendReceipt(client.Delivered, s.marked.delivered, &s.sent.delivered)
}

// sendReceipt sends a receipt, unless the server has it. Mu of the state is held.
func (d *device) sendReceipt(r client.Receipt, seq int64, sent *int64) {
	if seq <= *sent {
		return
	}
	e := judge.Entry{Kind: judge.Marked}
	if e.Delivered = &seq; r == client.Read {
		e.Read = &seq
	}
	d.history.Add(e)
	if d.session.Send(client.EncodeInboxReceipt(d.state.conversation, r, seq)) == nil {
		*sent = seq
	}
}

// received returns the seq of the last message that the device knows.
func (d *device) received() (seq int64, known bool) {
	if !d.inbox {
		return d.session.Highest()
	}
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	return d.state.last, d.state.conversation != ""
}

// isSettled reports whether the device has received the last message and has the state that is
// stored.
func (d *device) isSettled(stored stored) bool {
	last := stored.last[d.room.room.Customer]
	if c, ok := d.session.(*classic); ok {
		return c.isIdle(last.number)
	}
	d.room.advance(last.seq)
	own, isSide := stored.cursors[int64(d.user)]
	switch {
	case !d.isIdle():
		return false
	case !isSide:
		return true
	}
	peer := stored.cursors[int64(d.room.room.Other(d.user))]
	s := &d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cursors[int64(d.user)]
	switch {
	case !s.online, s.marked.delivered > own.Delivered, s.marked.read > own.Read:
		return false
	case d.inbox:
		return s.unread == own.Unread && (now.read == 0 || now.read == own.Read)
	}
	return now == cursor{own.Delivered, own.Read} && s.cursors[peer.User] == cursor{peer.Delivered, peer.Read}
}
