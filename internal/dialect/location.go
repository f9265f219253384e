package dialect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"sync"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const locationComponent = "LocationConsumer"

// positionGroup returns the group of the classic location sockets of a room. They have one of
// their own, because their positions keep the form in which they were sent.
func positionGroup(r room.Room) string { return r.Group("classic_location") }

// A location is a classic socket of the location endpoint. It gets positions of the therapist
// only, because the predecessor's frame cannot say that a position is somebody else's.
type location struct {
	endpoint.Consumer

	dialect *Dialect
	room    room.Room
	user    room.UserID
	socket  endpoint.Socket
	log     *logging.Conn
	leave   func()

	mu      sync.Mutex
	sender  event.ProcessID // of the newest position
	counter uint64          // of the newest position
	pending []byte          // frame of the newest position; nil if it was sent
}

func (d *Dialect) newLocation(c endpoint.Consumer, p endpoint.Peer) endpoint.Consumer {
	return &location{Consumer: c, dialect: d, room: p.Room(), user: p.User.ID, socket: p.Socket, log: p.Socket.Log()}
}

// Join joins the group of the classic sockets of the room, in place of the endpoint's.
func (l *location) Join(ctx context.Context) (err error) {
	l.leave, err = l.dialect.layer.Join(ctx, positionGroup(l.room), l.deliver, func(bool) {}) // the next position makes up for a lost one
	return err                                                                                //nolint:wrapcheck // the layer has named the cause
}

// Closed leaves the group.
func (l *location) Closed() {
	if l.leave != nil {
		l.leave()
	}
	l.Consumer.Closed()
}

// deliver takes an event of the group. It does not block.
func (l *location) deliver(e event.Event) {
	p, err := event.ReadClassicPosition(e.Body)
	if e.Kind != event.KindClassicPosition || err != nil {
		return
	}
	l.mu.Lock()
	newer := e.Sender != l.sender || e.Counter > l.counter
	if newer {
		l.sender, l.counter, l.pending = e.Sender, e.Counter, p.Frame
	}
	l.mu.Unlock()
	if newer {
		l.socket.Wake()
	}
}

// Next returns the newest position. All frames of the endpoint are dropped.
func (l *location) Next(ctx context.Context, wait bool) (frame.Message, error) {
	for {
		m, err := l.Consumer.Next(ctx, wait)
		if err != nil {
			return m, err //nolint:wrapcheck // a close
		}
		if m.Data == nil {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	position := l.pending
	if l.pending = nil; l.blocked() {
		return frame.Message{}, nil // of before the block
	}
	return frame.Message{Data: position}, nil
}

// blocked reports whether one side of the room has blocked the other one.
func (l *location) blocked() bool {
	c, ok := l.Consumer.(interface{ Blocked() bool })
	return ok && c.Blocked()
}

// Supersedes reports whether a position that waits is replaced by a newer one. See
// session.Superseder.
func (l *location) Supersedes(newer, older frame.Message) bool {
	c, ok := l.Consumer.(superseder)
	return ok && c.Supersedes(newer, older)
}

type superseder interface {
	Supersedes(newer, older frame.Message) bool
}

// Receive passes a position on. The endpoint gets it if it would take it from any client, and
// then calls [Dialect.Passed]; another one goes to classic sockets only.
func (l *location) Receive(ctx context.Context, m frame.Message) error {
	latitude, longitude, err := decodePosition(m)
	if _, ok := errors.AsType[*room.Invalid](err); ok {
		l.dialect.metrics.position(ignored)
		return nil
	}
	if err != nil {
		return err
	}
	position := append(append(append(append([]byte(`{"latitude":`), latitude...), `,"longitude":`...), longitude...), '}')
	if _, err := frame.DecodePosition(position); err == nil {
		return l.Consumer.Receive(ctx, frame.Message{Data: position}) //nolint:wrapcheck // a close
	}
	switch {
	case l.user != l.room.Therapist:
		l.dialect.metrics.position(ignored)
	case l.blocked():
		l.dialect.metrics.position(blocked)
	default:
		l.dialect.publish(l.room, latitude, longitude, l.log)
	}
	return nil
}

// decodePosition returns the latitude and the longitude of a frame as they were sent. A value that
// Python counts as false counts as missing.
func decodePosition(m frame.Message) (latitude, longitude []byte, err error) {
	if m.Binary {
		return nil, nil, &room.Invalid{Code: "text_only"}
	}
	var in struct {
		Latitude  json.RawMessage `json:"latitude"`
		Longitude json.RawMessage `json:"longitude"`
	}
	err = frame.DecodeMembers(m.Data, &in)
	if bad, ok := errors.AsType[*room.Invalid](err); err != nil && (!ok || bad.Code != "bad_text") { // Python takes halves of surrogate pairs here
		return nil, nil, err //nolint:wrapcheck // as documented
	}
	if !isTrue(in.Latitude) || !isTrue(in.Longitude) {
		return nil, nil, &room.Invalid{Code: "missing_field"}
	}
	return in.Latitude, in.Longitude, nil
}

// isTrue reports whether Python counts a JSON value as true. An absent one is empty.
func isTrue(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	switch value[0] {
	case 'n', 'f':
		return false
	case 't':
		return true
	case '"', '[', '{':
		return len(value) > 2 && (value[0] == '"' || len(bytes.TrimSpace(value[1:len(value)-1])) > 0)
	default:
		n, err := strconv.ParseFloat(string(value), 64)
		return err != nil || n != 0
	}
}

// Passed tells classic sockets of a position that the location endpoint passes on: text is the
// frame that the sender sent. It does not block.
func (d *Dialect) Passed(in room.Room, by room.UserID, text []byte, log *logging.Conn) {
	var sent struct {
		Latitude  json.RawMessage `json:"latitude"`
		Longitude json.RawMessage `json:"longitude"`
	}
	if by == in.Therapist && frame.DecodeMembers(text, &sent) == nil {
		d.publish(in, sent.Latitude, sent.Longitude, log)
	}
}

// publish sends a position of the therapist to the classic sockets of the room.
func (d *Dialect) publish(in room.Room, latitude, longitude []byte, log *logging.Conn) {
	b := append([]byte(`{"type": "location", "latitude": `), latitude...)
	b = append(append(b, `, "longitude": `...), longitude...)
	b = append(strconv.AppendInt(append(b, `, "therapist_id": "`...), int64(in.Therapist), 10), `"}`...)
	d.layer.Publish(positionGroup(in), event.ClassicPosition{Frame: b}, func(err error) {
		if err == nil {
			d.metrics.position(passed)
			return
		}
		d.metrics.position(failed)
		log.Error(locationComponent, "Failed to publish to group "+positionGroup(in)+": "+err.Error(), slog.String("cause", cause.Of(err)))
	})
}
