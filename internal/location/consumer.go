package location

import (
	"bytes"
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// loadTimeout bounds how long the writer waits for the last positions.
const loadTimeout = 3 * time.Second

// A Consumer is one socket that sends and receives positions.
type Consumer struct {
	endpoint.Base
	sender
	leave   func()
	offline func()        // set by Open; the user is online until it is called; nil for support
	pair    *block.Pair   // set by Open; used by Receive, Next and Closed, which are called later
	last    room.Position // the one that was published last; used by Receive alone

	// Mu guards the fields below.

	latest latest
	reload bool // positions may have been lost
}

func (l *Location) newConsumer(p endpoint.Peer) *Consumer {
	return &Consumer{
		Base:   endpoint.NewBase(p.Socket, component, outboxBytes),
		sender: sender{location: l, room: p.Room(), user: p.User.ID, role: p.User.Role, group: p.Group, log: p.Socket.Log()},
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
		s.location.options.Failures.Refused(failure.Location, bad.Code)
		s.LogRefused(bad)
		return s.Refuse(bad, "")
	}
	if handled, err := s.Control(in.Type, in.Token, ""); handled {
		return err
	}
	if bad := s.mayNotSend(); bad != nil {
		s.location.metrics.count("refused")
		s.location.options.Failures.Refused(failure.Location, bad.Code)
		return s.Refuse(bad, "")
	}
	if s.Blocked() {
		s.location.metrics.count("blocked")
		return nil // neither passed on nor kept
	}
	p := withoutFuture(in.Position)
	if !p.Newer(s.last) {
		s.location.metrics.count("outdated")
		return nil
	}
	s.last = p
	s.send(p, m.Data, s)
	return nil
}

// sent tells the client of a position that is lost.
func (s *Consumer) sent(err error) {
	if err != nil {
		_ = s.Refuse(&room.Invalid{Code: "channel_layer_unavailable", Detail: cause.Describe(err, "the position was neither published nor stored because Redis is unavailable; send the next one")}, "")
	}
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
func (s *Consumer) Next(ctx context.Context, wait bool) (frame.Message, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.reload && !wait {
		return frame.Message{}, frame.ErrWait
	}
	if s.reload {
		s.reload = false
		s.Mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		_ = s.load(ctx) // the next position makes up for a failure
		cancel()
		s.Mu.Lock()
	}
	if m := s.TakeLocked(); m.Data != nil {
		return m, nil
	}
	position := s.latest.take()
	for position != nil && s.pair.Any() {
		position = s.latest.take() // of before the block
	}
	return frame.Message{Data: position}, nil
}
