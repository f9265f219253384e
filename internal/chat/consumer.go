package chat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "ChatConsumer"

// outboxBytes is how much of its own a socket's client may leave unread: acks,
// errors, pages of history.
const outboxBytes = 512 << 10

// Socket is what a consumer needs from its session.
type Socket interface {
	// Wake makes the writer call Next again.
	Wake()
	// Log returns the lines of the connection.
	Log() *logging.Conn
	// Renew puts a fresh token in the place of the one that the socket lives by. Its
	// error is a *room.Invalid, after which the old one stands.
	Renew(token string) error
}

// A Consumer is one socket in a chat.
type Consumer struct {
	chat   *Chat
	socket Socket
	room   room.Room
	user   room.UserID
	role   room.Role
	leave  func()

	// Set by Open, before the session starts.
	conversation room.ID
	group        string

	mu     sync.Mutex
	out    frame.Outbox
	cursor cursor
	replay []room.Message // read from the store, not handed out yet
	open   bool
	resume *frame.Resumed // owed once the cursor has reached its ToSeq
	since  *int64

	target     int64 // up to here being behind is not the client's fault
	level      int64 // Unix nanoseconds: the writer had handed out all there was
	overflowed int64 // Unix nanoseconds: the inbox had no room, for the first time since
	waiting    bool  // the delay is ours: the store's or the channel layer's

	timer    *time.Timer // looks again; nil while none is needed
	acking   bool        // it runs for an ack
	lookAt   int64       // Unix nanoseconds: not before then
	attempts int         // at reading the store, since the last success
	closed   bool
}

// Peer is who a consumer is for.
type Peer struct {
	User  *room.User
	Room  room.Room
	Since *int64 // the client's highest seq; nil where it wants only what is new
}

// NewConsumer returns the consumer of a socket.
func (c *Chat) NewConsumer(p Peer, s Socket) *Consumer {
	return &Consumer{
		chat: c, socket: s, room: p.Room, user: p.User.ID, role: p.User.Role, since: p.Since,
		group: p.Room.Group("chat"), level: time.Now().UnixNano(),
	}
}

// Join joins the room's group, so that nothing is missed from here on.
func (s *Consumer) Join(ctx context.Context) error {
	leave, err := s.chat.layer.Join(ctx, s.group, s.deliver, s.doubt)
	s.leave = leave
	return err
}

// Open gets or creates the conversation, and queues the connected frame.
func (s *Consumer) Open(ctx context.Context) error {
	log := s.socket.Log()
	log.Info(component, fmt.Sprintf("Getting/creating conversation for customer %d, therapist %d", s.room.Customer, s.room.Therapist))
	conversation, err := s.chat.store.Conversation(ctx, s.room)
	if err != nil {
		return err
	}
	if conversation.Created {
		log.Info(component, "Created new conversation: "+conversation.ID.String())
	} else {
		log.Info(component, "Found existing conversation: "+conversation.ID.String())
	}
	log.Info(component, "Conversation loaded/created: "+conversation.ID.String())
	s.conversation = conversation.ID
	s.begin(conversation.LastSeq, log.Ref)
	s.chat.add(s)
	return nil
}

// begin sets the cursor. A resume is a cursor that starts behind, with a gap: no
// path of its own.
func (s *Consumer) begin(last int64, ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected := frame.Connected{Type: frame.TypeConnected, Ref: ref, ConversationID: s.conversation.String(), LastSeq: &last}
	_ = s.out.Add(frame.Message{Data: frame.Encode(connected)}, outboxBytes) // an empty outbox takes anything
	start := last
	if s.since != nil {
		start = min(*s.since, last)
		s.resume = &frame.Resumed{Type: frame.TypeResumed, FromSeq: start + 1, ToSeq: last, Reset: *s.since > last}
	}
	s.cursor.skipTo(start)
	s.cursor.latest = max(s.cursor.latest, last)
	s.cursor.gap = s.cursor.gap || start < last
	s.target, s.open, s.since = s.cursor.latest, true, nil
}

// Behind returns how many messages of the conversation wait for the client.
func (s *Consumer) Behind() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.cursor.latest-s.cursor.seen)
}

// Closed leaves the group.
func (s *Consumer) Closed() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	opened := s.open
	s.mu.Unlock()
	if s.leave != nil {
		s.leave()
	}
	if opened {
		s.chat.remove(s)
	}
}

// Receive handles one frame of the client's. It returns a close where the socket
// cannot go on.
func (s *Consumer) Receive(ctx context.Context, m frame.Message) error {
	if m.Binary {
		return &frame.Close{Code: frame.CodeUnsupported, Reason: "text_only", Detail: "frames are JSON text"}
	}
	in, err := frame.Decode(m.Data)
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return c
	}
	if m.Limited {
		s.chat.metrics.message("rate_limited")
		return s.refuse(in, &room.Invalid{Code: "rate_limited", Detail: "too many frames a second; this one was not handled: send it again, slower"})
	}
	if bad, ok := errors.AsType[*room.Invalid](err); ok {
		s.logInvalid(bad)
		return s.refuse(in, bad)
	}
	switch in.Type {
	case frame.TypePing:
		return s.answer(frame.Pong)
	case frame.TypeProbe:
		s.probe(in.ProbeID)
		return nil
	case frame.TypeHistory:
		return s.history(ctx, in)
	case frame.TypeAuth:
		if bad, ok := errors.AsType[*room.Invalid](s.socket.Renew(in.Token)); ok {
			return s.refuse(in, bad)
		}
		return nil
	default:
		return s.send(ctx, in)
	}
}

func (s *Consumer) logInvalid(bad *room.Invalid) {
	if bad.Code == "empty_message" {
		s.socket.Log().Warn(component, "Empty message ignored")
		return
	}
	s.socket.Log().Warn(component, "Frame refused: "+bad.Code, slog.String("field", bad.Field))
}

// send saves a message that may be sent.
func (s *Consumer) send(ctx context.Context, in frame.Client) error {
	draft := room.Draft{Sender: s.user, SenderRole: s.role, Text: in.Message, ClientMessageID: in.ClientMessageID}
	if s.role == room.Support {
		s.chat.metrics.message("refused")
		return s.refuse(in, &room.Invalid{Code: "wrong_role", Detail: "support reads a room and does not send"})
	}
	if bad := draft.Validate(s.chat.options.MaxMessageLength); bad != nil {
		s.chat.metrics.message("refused")
		s.logInvalid(bad)
		return s.refuse(in, bad)
	}
	return s.save(ctx, in, draft)
}

// A payload between replicas is the seq, the time of publishing in Unix
// nanoseconds (both 8 bytes, big endian) and the finished frame, which is encoded
// once for all sockets of all replicas. What passes without being stored has the seq
// 0, which no message has: see [Consumer.passing].
const payloadHeader = 16

func encode(m *room.Message) []byte {
	b := make([]byte, payloadHeader, payloadHeader+320+len(m.Text))
	binary.BigEndian.PutUint64(b, uint64(m.Seq))
	binary.BigEndian.PutUint64(b[8:], uint64(time.Now().UnixNano()))
	return frame.AppendMessage(b, m)
}

// deliver takes a payload of the group. The channel layer's receive loop calls
// it: it may not block.
func (s *Consumer) deliver(payload []byte) {
	if len(payload) <= payloadHeader {
		s.doubt() // nothing of ours looks like this
		return
	}
	if binary.BigEndian.Uint64(payload) == 0 {
		s.passing(payload[payloadHeader:])
		return
	}
	now := time.Now().UnixNano()
	s.chat.metrics.fanout.Observe(max(0, float64(now-int64(binary.BigEndian.Uint64(payload[8:])))/1e9))
	s.mu.Lock()
	news := !s.closed && s.cursor.accept(delivery{
		seq: int64(binary.BigEndian.Uint64(payload)), frame: payload[payloadHeader:], at: now,
	})
	if s.cursor.gap && s.overflowed == 0 {
		s.overflowed = now
	}
	news = news && s.open
	s.mu.Unlock()
	if news {
		s.socket.Wake()
	}
}

// doubt is what the channel layer calls when something may have been lost.
func (s *Consumer) doubt() {
	s.mu.Lock()
	if !s.open {
		s.cursor.gap = true // the sweep does not know of it yet
	}
	pending := s.cursor.gap || s.cursor.hole()
	s.mu.Unlock()
	s.chat.doubt()
	if pending {
		s.socket.Wake()
	}
}

// missed says that the store has messages up to seq (0: nobody knows up to
// where). Where the socket has not heard of them, it asks for them.
func (s *Consumer) missed(seq int64) {
	s.mu.Lock()
	behind := seq == 0 || seq > s.cursor.latest
	if behind {
		s.cursor.gap = true
		s.cursor.latest = max(s.cursor.latest, seq)
		s.target = max(s.target, s.cursor.latest)
	}
	s.mu.Unlock()
	if behind {
		s.socket.Wake()
	}
}

// refuse answers a frame with an error frame; the socket stays open.
func (s *Consumer) refuse(in frame.Client, bad *room.Invalid) error {
	return s.answer(frame.Encode(frame.Error{
		Type: frame.TypeError, Code: bad.Code, Detail: bad.Detail, Field: bad.Field,
		Ref: s.socket.Log().Ref, ClientMessageID: in.ClientMessageID,
	}))
}

// answer queues a frame for this socket alone.
func (s *Consumer) answer(text []byte) error {
	s.mu.Lock()
	err := s.out.Add(frame.Message{Data: text}, outboxBytes)
	s.mu.Unlock()
	if err != nil {
		return slow("the client sends and does not read the answers")
	}
	s.socket.Wake()
	return nil
}

// acknowledge queues an ack. The message itself is about to come over Redis to this
// socket too, and one write carries both; where it does not come, the ack goes alone.
func (s *Consumer) acknowledge(ack []byte) error {
	if !s.chat.up() {
		return s.answer(ack)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Add(frame.Message{Data: ack}, outboxBytes); err != nil {
		return slow("the client sends and does not read the answers")
	}
	s.acking = true
	s.look(ackHold)
	return nil
}

func storeInvalid(err error) *room.Invalid {
	if errors.Is(err, room.ErrUnavailable) {
		return &room.Invalid{Code: "database_unavailable", Detail: "the database cannot be used now; send the frame again (with the same client_message_id it stays one message)"}
	}
	return &room.Invalid{Code: "internal", Detail: "a fault of the server; the log has it under the reference"}
}

func slow(detail string) *frame.Close {
	return &frame.Close{Code: frame.CodeTryLater, Reason: "slow_consumer", Detail: detail, After: time.Second}
}
