// Package location is the endpoint /ws/location/: the live positions of the two
// sides of a room. Only the newest position of a sender matters, so positions are
// neither queued nor stored, except the last one for a limited time.
package location

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	name      = "location"
	component = "LocationConsumer"
	// outboxBytes bounds the answers that a client leaves unread.
	outboxBytes = 64 << 10
)

// Layer is what location needs from the channel layer.
type Layer interface {
	// Join calls deliver for each event of the group, and missed when events may have
	// been lost. Both calls end with leave. Join returns when the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error)
	// Publish does not block. It calls done once, with nil if Redis has the event.
	Publish(group string, body event.Body, done func(error))
}

// Positions keeps the last position of each sender of a room for a limited time.
type Positions interface {
	// Save keeps a position in place of the one before. It does not block, and calls done
	// once unless it is nil. The caller must publish something next.
	Save(r room.Room, p event.Position, done func(error))
	// SaveReported keeps when the last position was recorded that a user sent by HTTP. It does not
	// block, and calls done once.
	SaveReported(r room.Room, user room.UserID, recorded time.Time, done func(error))
	// Reported returns what SaveReported has kept, or the zero time.
	Reported(ctx context.Context, r room.Room, user room.UserID) (recorded time.Time, err error)
	// Last returns the last positions of the room.
	Last(ctx context.Context, r room.Room) ([]event.Event, error)
}

// Blocks knows which users have blocked each other.
type Blocks interface {
	// Watch returns the blocks of a room, which follow changes until they are released. Its
	// errors wrap [room.ErrUnavailable].
	Watch(ctx context.Context, in room.Room) (*block.Pair, error)
}

// Presence knows which users are online.
type Presence interface {
	// Open makes a user online until closed is called, and for a while after that.
	Open(user room.UserID, inbox bool) (closed func())
}

// logRate is the number of positions per second that are logged. Above it positions
// are sampled. Failures are always logged.
const logRate = 100

// Options are the settings of the location endpoint.
type Options struct {
	Blocks   Blocks   // nil: nobody has blocked anybody
	Presence Presence // nil: sockets do not make their users online
	// TherapistsOnly refuses the positions of customers.
	TherapistsOnly bool
	// Passed is called with each frame whose position is passed on. It must not block. It may be
	// nil.
	Passed func(in room.Room, by room.UserID, text []byte, log *logging.Conn)
	// Failures learns of the positions that users send. It may be nil.
	Failures *failure.Log
}

// Location is the location endpoint of one replica. Make one with [New].
type Location struct {
	options    Options
	layer      Layer
	positions  Positions
	metrics    *metrics
	logLimiter *rate.Limiter
}

// New returns the location endpoint.
func New(o Options, layer Layer, positions Positions, reg prometheus.Registerer) *Location {
	return &Location{options: o, layer: layer, positions: positions, metrics: newMetrics(reg), logLimiter: rate.NewLimiter(logRate, logRate)}
}

// Endpoint returns the declaration of the endpoint.
func (l *Location) Endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Name: name, Component: component,
		IDs: endpoint.RoomIDs, Authorize: endpoint.AuthorizeRoom,
		Group: func(p endpoint.Peer) string { return p.Room().Group(name) },
		Load:  "positions loaded",
		New:   func(p endpoint.Peer) endpoint.Consumer { return l.newConsumer(p) },
	}
}
