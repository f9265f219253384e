package location

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// loadTimeout bounds how long the writer waits for the last positions.
const loadTimeout = 3 * time.Second

// maxAhead is how far the clock of a device may be ahead of this replica's. A recorded_at
// that is further ahead counts as absent.
const maxAhead = time.Minute

// A Consumer is one socket that sends and receives positions.
type Consumer struct {
	endpoint.Base
	location *Location
	room     room.Room
	user     room.UserID
	role     room.Role
	group    string
	leave    func()
	offline  func()        // set by Open; the user is online until it is called; nil for support
	pair     *block.Pair   // set by Open; used by Receive, Next and Closed, which are called later
	last     room.Position // the one that was published last; used by Receive alone

	// Mu guards the fields below.

	latest latest
	reload bool // positions may have been lost
}

func (l *Location) newConsumer(p endpoint.Peer) *Consumer {
	return &Consumer{
		Base:     endpoint.NewBase(p.Socket, component, outboxBytes),
		location: l, room: p.Room(), user: p.User.ID, role: p.User.Role, group: p.Group,
	}
}

// Join joins the group of the room.
func (s *Consumer) Join(ctx context.Context) error {
	leave, err := s.location.layer.Join(ctx, s.group, s.deliver, s.missed)
	s.leave = leave
	return err
}

// Open queues the connected frame and the last positions of the room.
func (s *Consumer) Open(ctx context.Context) error {
	endpoint.Audit(s.Socket.Log(), s.role, s.user, s.room, name, "opened a room")
	connected := frame.Connected{Type: frame.TypeConnected, Ref: s.Socket.Log().Ref}
	s.Mu.Lock()
	_ = s.QueueLocked(frame.Message{Data: frame.Encode(connected)}) // the outbox is empty
	s.Mu.Unlock()
	if s.location.options.Blocks != nil {
		pair, err := s.location.options.Blocks.Watch(ctx, s.room)
		if err != nil {
			return endpoint.DatabaseError("load_blocks", err)
		}
		s.pair = pair
	}
	if presence := s.location.options.Presence; presence != nil && s.role != room.Support {
		s.offline = presence.Open(s.user, false)
	}
	if err := s.load(ctx); err != nil {
		return &endpoint.Rejection{
			Close: &frame.Close{Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err},
			Line:  "Failed to read the last positions: " + err.Error(),
		}
	}
	return nil
}

func (s *Consumer) load(ctx context.Context) error {
	last, err := s.location.positions.Last(ctx, s.room)
	if err != nil {
		return err
	}
	for _, e := range last {
		s.put(e, true)
	}
	return nil
}

// missed is called by the channel layer when positions may have been lost. The
// writer then reads the last ones.
func (s *Consumer) missed(bool) {
	s.Mu.Lock()
	s.reload = true
	s.Mu.Unlock()
	s.Socket.Wake()
}

// Closed leaves the group.
func (s *Consumer) Closed() {
	if s.leave != nil {
		s.leave()
	}
	if s.offline != nil {
		s.offline()
	}
	s.pair.Release()
}

// Receive handles one frame of the client. An error ends the session.
func (s *Consumer) Receive(_ context.Context, m frame.Message) error {
	in, bad, err := endpoint.Decode(m, frame.DecodePosition)
	switch {
	case err != nil:
		return err
	case bad != nil:
		s.location.metrics.count("refused")
		s.LogRefused(bad)
		return s.Refuse(bad, "")
	}
	if handled, err := s.Control(in.Type, in.Token, ""); handled {
		return err
	}
	if bad := s.mayNotSend(); bad != nil {
		s.location.metrics.count("refused")
		return s.Refuse(bad, "")
	}
	if s.Blocked() {
		s.location.metrics.count("blocked")
		return nil // neither passed on nor kept
	}
	p := in.Position
	if p.RecordedAt.After(time.Now().Add(maxAhead)) {
		p.RecordedAt = time.Time{}
	}
	if !p.Newer(s.last) {
		s.location.metrics.count("outdated")
		return nil
	}
	s.last = p
	if s.location.options.Passed != nil {
		s.location.options.Passed(s.room, s.user, m.Data, s.Socket.Log())
	}
	s.publish(p)
	return nil
}

// mayNotSend returns the refusal of every position of the user, or nil if the user may send.
func (s *Consumer) mayNotSend() *room.Invalid {
	switch {
	case s.role == room.Support:
		return &room.Invalid{Code: "wrong_role", Detail: "support may follow a room but not send"}
	case s.role == room.Customer && s.location.options.TherapistsOnly:
		return &room.Invalid{Code: "wrong_role", Detail: "positions of customers are not passed on here"}
	}
	return nil
}

// Blocked reports whether one side of the room has blocked the other one, so that no position is
// passed on. It must not be called before Open.
func (s *Consumer) Blocked() bool { return s.pair.Any() }

// Supersedes reports whether a position that waits because of the message rate is replaced by
// a newer one. See session.Superseder.
func (s *Consumer) Supersedes(newer, older frame.Message) bool {
	if !isPosition(newer) || !isPosition(older) {
		return false
	}
	s.location.metrics.count("superseded")
	return true
}

func isPosition(m frame.Message) bool { return bytes.Contains(m.Data, []byte(`"latitude"`)) }

// publish sends a position to all sockets of the room, and keeps it as the last one.
func (s *Consumer) publish(p room.Position) {
	l := s.location
	position := event.Position{User: s.user, Frame: frame.AppendPosition(make([]byte, 0, 240), s.user, s.role, p, time.Now())}
	if !p.RecordedAt.IsZero() {
		position.Recorded = p.RecordedAt.UnixMilli()
	}
	l.positions.Save(s.room, position, nil) // if Redis is away, publishing fails too
	logged := l.logLimiter.Allow()
	if logged {
		s.Socket.Log().Info(component, "Location update")
	}
	l.layer.Publish(s.group, position, func(err error) {
		if err == nil {
			l.metrics.count("published")
			if logged {
				s.Socket.Log().Info(component, "Published to group "+s.group)
			}
			return
		}
		l.metrics.count("failed")
		s.Socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error(), slog.String("cause", cause.Of(err)))
		_ = s.Refuse(&room.Invalid{Code: "channel_layer_unavailable", Detail: "the position was neither published nor stored because Redis is unavailable; send the next one"}, "")
	})
}

// deliver takes an event of the group. It does not block.
func (s *Consumer) deliver(e event.Event) { s.put(e, false) }

// put takes an event of the group, or a stored position. It does not block.
func (s *Consumer) put(e event.Event, stored bool) {
	if e.Kind != event.KindPosition {
		return
	}
	p, err := event.ReadPosition(e.Body)
	if err != nil {
		return // the layer has checked it
	}
	s.Mu.Lock()
	changed, dropped := s.latest.put(entry{user: p.User, sender: e.Sender, counter: e.Counter, at: e.At, stored: stored, frame: p.Frame})
	s.Mu.Unlock()
	if dropped {
		s.location.metrics.dropped.Inc()
	}
	if changed {
		s.Socket.Wake()
	}
}

// Next returns the answers of the outbox, then the newest position of each sender.
func (s *Consumer) Next(ctx context.Context) (frame.Message, error) {
	s.Mu.Lock()
	reload := s.reload
	s.reload = false
	s.Mu.Unlock()
	if reload {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		_ = s.load(ctx) // the next position makes up for a failure
		cancel()
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if m := s.TakeLocked(); m.Data != nil {
		return m, nil
	}
	position := s.latest.take()
	for position != nil && s.pair.Any() {
		position = s.latest.take() // of before the block
	}
	return frame.Message{Data: position}, nil
}
