package inbox

import (
	"context"
	"errors"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// maxWatched is the number of conversations, the newest ones, whose other side is watched for
// its presence.
const maxWatched = 100

// A Consumer is one inbox socket.
type Consumer struct {
	endpoint.Base
	inbox  *Inbox
	user   room.UserID
	group  string
	leave  func()
	closed func() // ends the presence of the socket

	// Mu guards the fields below.

	list    list
	pager   pager
	timer   *time.Timer // wakes the writer; nil if not needed
	taken   int         // bytes of the account that the list holds
	watched int         // conversations whose other side is watched
	stops   []func()    // end the watches
	// restarts counts the resets of the list, whose watches begin anew.
	restarts int
	ended    bool
}

func (i *Inbox) newConsumer(p endpoint.Peer) *Consumer {
	return &Consumer{
		Base: endpoint.NewBase(p.Socket, component, outboxBytes), inbox: i, user: p.User.ID, group: p.Group,
		list: newList(p.User.ID, wantsText(p.Query)),
	}
}

// Join joins the group of the user's inboxes.
func (s *Consumer) Join(ctx context.Context) error {
	leave, err := s.inbox.layer.Join(ctx, s.group, s.deliver, s.missed)
	s.leave = leave
	return err
}

// Open reads the first page of conversations, and queues the connected frame. The writer reads
// the other pages.
func (s *Consumer) Open(ctx context.Context) error {
	s.closed = s.inbox.presence.Open(s.user, true)
	connected := frame.Connected{Type: frame.TypeConnected, Ref: s.Socket.Log().Ref}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	_ = s.QueueLocked(frame.Message{Data: frame.Encode(connected)}) // the outbox is empty
	if err := s.readPage(ctx); err != nil {
		return endpoint.DatabaseError("list_conversations", err)
	}
	s.inbox.add(s)
	return nil
}

// Closed leaves the group.
func (s *Consumer) Closed() {
	s.inbox.remove(s)
	s.Mu.Lock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	stops := s.stops
	s.stops = nil
	s.Mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	if s.closed != nil {
		s.closed()
	}
	if s.leave != nil {
		s.leave()
	}
}

// deliver takes an event of the group. It does not block. The layer has checked the body.
func (s *Consumer) deliver(e event.Event) {
	switch e.Kind {
	case event.KindInbox:
		if m, err := event.ReadInbox(e.Body); err == nil {
			s.change(func(l *list) { l.message(&m) })
		}
	case event.KindReceipt:
		if r, err := event.ReadReceipt(e.Body); err == nil {
			s.change(func(l *list) { l.receipt(&r) })
		}
	default: // no other kind concerns an inbox
	}
}

// missed is called by the channel layer when events may have been lost.
func (s *Consumer) missed(reset bool) {
	if reset {
		s.inbox.resets.Add(1)
		s.reload(true)
		s.inbox.receipts.Reset() // from here on the socket marks nothing that it knew before
		return
	}
	s.inbox.requestSweep()
}

// change changes the list and wakes the writer.
func (s *Consumer) change(f func(*list)) {
	s.Mu.Lock()
	f(&s.list)
	wake := len(s.list.queue) > 0 || len(s.list.stale) > 0 || len(s.list.unwatched) > 0
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// reload makes the writer read all conversations again. With reset it forgets those that are
// known, since the database was restored or replaced, and sends inbox_complete again.
func (s *Consumer) reload(reset bool) {
	var stops []func()
	s.Mu.Lock()
	if reset {
		s.list = newList(s.user, s.list.text)
		stops, s.stops, s.watched = s.stops, nil, 0
		s.restarts++
	}
	s.pager.restart(reset)
	s.Mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	s.Socket.Wake()
}

// Receive handles one frame of the client. An error ends the session.
func (s *Consumer) Receive(_ context.Context, m frame.Message) error {
	in, bad, err := endpoint.Decode(m, frame.Decode)
	switch {
	case err != nil:
		return err
	case bad != nil:
		s.LogRefused(bad)
		return s.Refuse(bad, "")
	}
	if handled, err := s.Control(in.Type, in.Token, ""); handled {
		return err
	}
	switch in.Type {
	case frame.TypeDelivered:
		return s.mark(in, room.Cursor{Delivered: in.Seq})
	case frame.TypeRead:
		return s.mark(in, room.Cursor{Delivered: in.Seq, Read: in.Seq})
	default: // decoded, and no business of this endpoint
		return s.Refuse(&room.Invalid{Code: "unknown_type", Field: "type", Detail: "The inbox does not take frames of this type; open the chat."}, in.ClientMessageID)
	}
}

// mark stores a receipt. The receipt comes back as an event once it is stored. If this socket
// knows of the message, the receipt waits while the store is unavailable.
func (s *Consumer) mark(in frame.Client, c room.Cursor) error {
	id, err := room.ParseID(in.ConversationID)
	s.Mu.Lock()
	e := s.list.entries[id]
	if e != nil && in.Seq <= e.last {
		defer s.Mu.Unlock() // after the mark, so that a reset drops it
		s.inbox.receipts.Mark(receipt.Target{Conversation: id, Room: e.room, User: s.user}, c, nil)
		return nil
	}
	s.Mu.Unlock()
	if err != nil || e == nil {
		return s.Refuse(&room.Invalid{Code: "out_of_range", Field: "conversation_id", Detail: "conversation_id must be the id of a conversation of this inbox"}, "")
	}
	s.inbox.receipts.Mark(receipt.Target{Conversation: id, Room: e.room, User: s.user}, c, s.markFailed)
	return nil
}

// markFailed answers a receipt that was not stored.
func (s *Consumer) markFailed(_ room.Cursor, err error) {
	var bad *room.Invalid
	switch {
	case err == nil, errors.Is(err, receipt.ErrReset):
		return
	case errors.Is(err, receipt.ErrBeyond):
		bad = &room.Invalid{Code: "out_of_range", Field: "seq", Detail: "seq is beyond the newest message of the conversation"}
	case errors.Is(err, room.ErrUnavailable):
		bad = &room.Invalid{Code: "database_unavailable", Detail: cause.Describe(err, "the database is unavailable; send the frame again")}
	default:
		bad = &room.Invalid{Code: "internal", Detail: "the server failed; its log has the cause under the reference"}
	}
	_ = s.Refuse(bad, "") // if the outbox is full, the client does not read this answer either
}

// watch watches the presence of the other side of the newest conversations, and of those that
// have begun since. Mu is held, but not while the watches begin.
func (s *Consumer) watch(ctx context.Context) error {
	n, restarts := min(len(s.list.unwatched), maxWatched-s.watched), s.restarts
	if n <= 0 || !s.inbox.presence.Enabled() {
		s.list.unwatched = nil
		return nil
	}
	some := s.list.unwatched[:n]
	s.Mu.Unlock()
	stops, err := s.beginWatches(ctx, some)
	s.Mu.Lock()
	switch {
	case err != nil:
		return err
	case s.ended, s.restarts != restarts:
		s.Mu.Unlock()
		defer s.Mu.Lock()
		for _, stop := range stops {
			stop()
		}
		return nil
	}
	s.watched += n
	if s.list.unwatched = s.list.unwatched[n:]; len(s.list.unwatched) == 0 {
		s.list.unwatched = nil
	}
	s.stops = append(s.stops, stops...)
	return nil
}

func (s *Consumer) beginWatches(ctx context.Context, some []*entry) (stops []func(), err error) {
	rooms := make([]room.Room, len(some))
	for i, e := range some {
		rooms[i] = e.room
	}
	pairs, err := s.inbox.blocks.WatchAll(ctx, rooms)
	if err != nil {
		return nil, err //nolint:wrapcheck // the store has named the operation
	}
	for i, e := range some {
		id, pair, heard := e.id, pairs[i], false
		changed := func(now presence.State, first bool) {
			s.change(func(l *list) {
				if first && heard {
					return // a newer state has come
				}
				heard = true
				l.presence(id, pair, now.Online, now.LastSeen)
			})
		}
		now, stop := s.inbox.presence.Watch(e.room.Other(s.user), func(now presence.State) { changed(now, false) })
		changed(now, true)
		stops = append(stops, stop, pair.Release)
	}
	return stops, nil
}
