package location

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "LocationConsumer"

// outboxBytes is how much of its own a socket's client may leave unread.
const outboxBytes = 64 << 10

// loadLimit is how long the writer waits for the last positions.
const loadLimit = 3 * time.Second

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

// A Consumer is one socket that follows, and tells, positions.
type Consumer struct {
	location *Location
	socket   Socket
	room     room.Room
	user     room.UserID
	role     room.Role
	group    string
	leave    func()

	mu     sync.Mutex
	out    frame.Outbox
	latest latest
	reload bool // something was missed
}

// NewConsumer returns the consumer of a user's socket in a room.
func (l *Location) NewConsumer(user *room.User, r room.Room, s Socket) *Consumer {
	return &Consumer{location: l, socket: s, room: r, user: user.ID, role: user.Role, group: r.Group("location")}
}

// Join joins the room's group.
func (s *Consumer) Join(ctx context.Context) error {
	leave, err := s.location.layer.Join(ctx, s.group, s.deliver, s.missed)
	s.leave = leave
	return err
}

// Open queues the connected frame and the last known positions.
func (s *Consumer) Open(ctx context.Context) error {
	s.mu.Lock()
	_ = s.out.Add(frame.Message{Data: frame.Encode(frame.Connected{Type: frame.TypeConnected, Ref: s.socket.Log().Ref})}, outboxBytes) // empty: it takes anything
	s.mu.Unlock()
	return s.load(ctx)
}

func (s *Consumer) load(ctx context.Context) error {
	last, err := s.location.positions.Last(ctx, s.room)
	if err != nil {
		return &frame.Close{Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err}
	}
	for _, payload := range last {
		s.deliver(payload)
	}
	return nil
}

// missed is what the channel layer calls when positions may have been lost: the
// writer looks the last ones up.
func (s *Consumer) missed() {
	s.mu.Lock()
	s.reload = true
	s.mu.Unlock()
	s.socket.Wake()
}

// Closed leaves the group.
func (s *Consumer) Closed() {
	if s.leave != nil {
		s.leave()
	}
}

// Receive handles one frame of the client's.
func (s *Consumer) Receive(_ context.Context, m frame.Message) error {
	if m.Binary {
		return &frame.Close{Code: frame.CodeUnsupported, Reason: "text_only", Detail: "frames are JSON text"}
	}
	in, err := frame.DecodePosition(m.Data)
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return c
	}
	bad, refused := errors.AsType[*room.Invalid](err)
	switch {
	case m.Limited:
		s.location.metrics.count("rate_limited")
		return s.refuse(&room.Invalid{Code: "rate_limited", Detail: "too many frames a second; this one was not handled"})
	case refused:
		s.location.metrics.count("refused")
		s.socket.Log().Warn(component, "Frame refused: "+bad.Code, slog.String("field", bad.Field))
		return s.refuse(bad)
	case in.Type == frame.TypePing:
		return s.answer(frame.Pong)
	case in.Type == frame.TypeAuth:
		if bad, ok := errors.AsType[*room.Invalid](s.socket.Renew(in.Token)); ok {
			return s.refuse(bad)
		}
		return nil
	case s.role == room.Support:
		s.location.metrics.count("refused")
		return s.refuse(&room.Invalid{Code: "wrong_role", Detail: "support follows a room and does not send"})
	}
	s.tell(in.Position)
	return nil
}

// tell passes a position on, and keeps it as the last one.
func (s *Consumer) tell(p room.Position) {
	l := s.location
	payload := encode(s.user, s.role, p, time.Now())
	l.positions.Save(s.room, s.user, payload, p.RecordedAt, nil) // publishing tells whether Redis is there
	told := l.lines.Allow()
	if told {
		s.socket.Log().Info(component, "Location update")
	}
	l.layer.Publish(s.group, payload, func(err error) {
		if err == nil {
			l.metrics.count("published")
			if told {
				s.socket.Log().Info(component, "Published to group "+s.group)
			}
			return
		}
		l.metrics.count("failed")
		s.socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error(), slog.String("cause", cause.Of(err)))
		_ = s.refuse(&room.Invalid{Code: "channel_layer_unavailable", Detail: "the position could not be passed on and was not kept; send the next one"})
	})
}

// A payload between replicas is the sender's id, the time of recording in Unix
// milliseconds, or 0 (both 8 bytes, big endian), and the finished frame.
const payloadHeader = 16

func encode(user room.UserID, role room.Role, p room.Position, now time.Time) []byte {
	b := make([]byte, payloadHeader, payloadHeader+240)
	binary.BigEndian.PutUint64(b, uint64(user))
	if !p.RecordedAt.IsZero() {
		binary.BigEndian.PutUint64(b[8:], uint64(p.RecordedAt.UnixMilli()))
	}
	return frame.AppendPosition(b, user, role, p, now)
}

// deliver takes a payload of the group; it does not block.
func (s *Consumer) deliver(payload []byte) {
	if len(payload) <= payloadHeader {
		return
	}
	s.mu.Lock()
	news, dropped := s.latest.put(entry{
		user:     room.UserID(binary.BigEndian.Uint64(payload)),
		recorded: int64(binary.BigEndian.Uint64(payload[8:])),
		frame:    payload[payloadHeader:],
	})
	s.mu.Unlock()
	if dropped {
		s.location.metrics.dropped.Inc()
	}
	if news {
		s.socket.Wake()
	}
}

// Next returns the answers to the socket's own frames, then the newest position
// of each sender.
func (s *Consumer) Next(ctx context.Context) (frame.Message, error) {
	s.mu.Lock()
	reload := s.reload
	s.reload = false
	s.mu.Unlock()
	if reload {
		ctx, cancel := context.WithTimeout(ctx, loadLimit)
		_ = s.load(ctx) // if it fails, the next position is not far
		cancel()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.out.Take(); m.Data != nil {
		return m, nil
	}
	return frame.Message{Data: s.latest.take()}, nil
}

func (s *Consumer) refuse(bad *room.Invalid) error {
	return s.answer(frame.Encode(frame.Error{
		Type: frame.TypeError, Code: bad.Code, Detail: bad.Detail, Field: bad.Field, Ref: s.socket.Log().Ref,
	}))
}

func (s *Consumer) answer(text []byte) error {
	s.mu.Lock()
	err := s.out.Add(frame.Message{Data: text}, outboxBytes)
	s.mu.Unlock()
	if err != nil {
		return &frame.Close{Code: frame.CodeTryLater, Reason: "slow_consumer", Detail: "the client sends and does not read the answers", After: time.Second}
	}
	s.socket.Wake()
	return nil
}
