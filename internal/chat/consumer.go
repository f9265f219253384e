package chat

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A Consumer is one socket of the chat endpoint.
type Consumer struct {
	endpoint.Base
	chat  *Chat
	room  room.Room
	user  room.UserID
	role  room.Role
	peer  room.UserID // the other side; 0 for support
	group string
	leave func()
	pair  atomic.Pointer[block.Pair] // set by Open; nil until then

	unwatch, disappear func() // of the registry of who is online; nil if not needed

	// Receive and Closed use these fields, one after the other.

	typing bool // the client says that its user types
	typed  bool // it has said so

	// Mu guards the fields below.

	conversation room.ID // set by Open, and again by reload
	resets       int     // signals that the database was restored or replaced
	reloads      int     // value of resets when the conversation was last loaded

	cursor cursor
	replay []room.Message // read from the store, to be sent before the cursor's inbox
	rows   int            // messages that the next read of the replay asks for; 0 for firstRows
	since  *position      // until Open
	resume *frame.Resumed // to be sent when the cursor has reached its ToSeq

	receipts receipts

	asked []historyRequest // that are not answered yet
	page  []byte           // the answer that is to be sent next; nil if there is none
	// pageSeq is the last message of the page, and pageTheirs the last one of somebody else.
	pageSeq, pageTheirs int64
	// pageSent means that the writer has taken a page since the last call of Next.
	pageSent bool

	reading     bool  // a read waits for its turn or runs; there is one at a time
	fetchFirst  bool  // the last read was one of history, so the replay goes first
	kept        int   // bytes taken from the account for the replay and the page
	pausedUntil int64 // Unix nanoseconds; nothing is read before it, because the budget is exhausted
	pauses      int   // refusals of the budget since the last read
	failure     error // ends the session

	// A client that is too far behind is closed. These fields excuse what is not its
	// fault. Times are Unix nanoseconds.
	excusedSeq   int64 // up to here the client may be behind
	caughtUpAt   int64 // last time at which the writer had nothing left to send
	overflowedAt int64 // first time since caughtUpAt at which the inbox was full; 0 if never

	hints hints

	timer    *time.Timer // wakes the writer; nil if not needed
	fetchAt  int64       // Unix nanoseconds; the store is not read before it
	attempts int         // failed reads of the store since the last good one
	ackTimer bool        // timer runs for an ack
	delayed  bool        // the delay is the server's: of the store, the budget or the channel layer
	opened   bool
	closed   bool
}

func (c *Chat) newConsumer(p endpoint.Peer) *Consumer {
	since, _ := parseSince(p.Query) // checked by the endpoint's Query
	return &Consumer{
		Base: endpoint.NewBase(p.Socket, component, outboxBytes),
		chat: c, room: p.Room(), user: p.User.ID, role: p.User.Role, group: p.Group,
		peer:  otherSide(p.Room(), p.User.ID, p.User.Role),
		since: since, caughtUpAt: time.Now().UnixNano(),
	}
}

// Join joins the group of the room. Messages that arrive before Open are kept.
func (s *Consumer) Join(ctx context.Context) error {
	leave, err := s.chat.layer.Join(ctx, s.group, s.deliver, s.missed)
	s.leave = leave
	return err
}

// Open gets or creates the conversation, and queues the connected frame.
func (s *Consumer) Open(ctx context.Context) error {
	log := s.Socket.Log()
	s.watchPeer()
	log.Info(component, fmt.Sprintf("Getting/creating conversation for customer %d, therapist %d", s.room.Customer, s.room.Therapist))
	conversation, err := s.chat.store.Conversation(ctx, s.room, s.user)
	if err != nil {
		return endpoint.DatabaseError("get_or_create_conversation", err)
	}
	if conversation.Created {
		log.Info(component, "Created new conversation: "+conversation.ID.String())
	} else {
		log.Info(component, "Found existing conversation: "+conversation.ID.String())
	}
	log.Info(component, "Conversation loaded/created: "+conversation.ID.String())
	if err := s.watchBlocks(ctx); err != nil {
		return endpoint.DatabaseError("load_blocks", err)
	}
	resumed, err := s.checkSince(ctx, conversation)
	if err != nil {
		return endpoint.DatabaseError("check_since", err)
	}
	from := conversation.LastSeq + 1
	if resumed != nil {
		from = resumed.FromSeq
	}
	endpoint.Audit(log, s.role, s.user, s.room, name, "opened a room", slog.Int64("from_seq", from))
	s.appear(ctx)
	s.chat.add(s, conversation.ID)
	s.start(conversation, resumed)
	return nil
}

// start queues the connected frame and sets the cursor. To resume is to set the
// cursor back and mark a gap: there is no separate code path.
func (s *Consumer) start(c room.Conversation, resumed *frame.Resumed) {
	last := c.LastSeq
	connected := frame.Connected{Type: frame.TypeConnected, Ref: s.Socket.Log().Ref, ConversationID: c.ID.String(), FirstSeq: &c.FirstSeq, LastSeq: &last}
	s.setCursors(&connected, &c)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.setPresence(connected.Peer)
	_ = s.QueueLocked(frame.Message{Data: frame.Encode(connected)}) // the outbox is empty
	from := last
	if resumed != nil {
		from = resumed.FromSeq - 1
	}
	s.conversation, s.resume = c.ID, resumed
	s.receipts.load(&c)
	s.cursor.skipTo(from)
	s.cursor.latest = max(s.cursor.latest, last)
	s.cursor.gap = s.cursor.gap || from < last
	s.excusedSeq, s.opened, s.since = s.cursor.latest, true, nil
}

// Behind returns the number of messages that wait for the client.
func (s *Consumer) Behind() int64 {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.mustReload() {
		return 0 // the cursor is not set
	}
	return max(0, s.cursor.latest-s.cursor.seen)
}

// Closed leaves the group.
func (s *Consumer) Closed() {
	s.Mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	opened, conversation := s.opened, s.conversation
	s.Mu.Unlock()
	if s.leave != nil {
		s.leave()
	}
	if opened {
		s.chat.remove(s, conversation)
	}
	s.closeHints()
	s.pair.Swap(nil).Release()
}

// Receive handles one frame of the client. An error ends the session.
func (s *Consumer) Receive(ctx context.Context, m frame.Message) error {
	in, bad, err := endpoint.Decode(m, frame.Decode)
	switch {
	case err != nil:
		return err
	case bad != nil:
		s.logRefused(bad)
		return s.Refuse(bad, in.ClientMessageID)
	}
	if handled, err := s.Control(in.Type, in.Token, in.ClientMessageID); handled {
		return err
	}
	switch in.Type {
	case frame.TypeProbe:
		s.probe(in.ProbeID)
		return nil
	case frame.TypeHistory:
		s.askHistory(in)
		return nil
	case frame.TypeChatMessage:
		s.stopTyping()
		return s.send(ctx, in)
	case frame.TypeDelivered, frame.TypeRead:
		return s.mark(in)
	case frame.TypeTyping:
		return s.setTyping(in.IsTyping)
	default: // decoded, and no business of this endpoint
		return s.Refuse(&room.Invalid{Code: "unknown_type", Field: "type", Detail: "This endpoint does not take frames of this type."}, in.ClientMessageID)
	}
}

func (s *Consumer) logRefused(bad *room.Invalid) {
	if bad.Code == "empty_message" {
		s.Socket.Log().Warn(component, "Empty message ignored")
		return
	}
	s.LogRefused(bad)
}
