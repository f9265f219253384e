package location

import (
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// maxAhead is how far the clock of a device may be ahead of this replica's. A recorded_at
// that is further ahead counts as absent.
const maxAhead = time.Minute

// A sender sends the positions of a user to a room, by a socket or by HTTP.
type sender struct {
	location *Location
	room     room.Room
	user     room.UserID
	role     room.Role
	group    string
	log      *logging.Conn
}

// An outcome learns what became of a position. It must not block.
type outcome interface {
	// sent is called once, with nil if Redis has the position.
	sent(err error)
}

// mayNotSend returns the refusal of every position of the user, or nil if the user may send.
func (s *sender) mayNotSend() *room.Invalid {
	switch {
	case s.role == room.Support:
		return &room.Invalid{Code: "wrong_role", Detail: "support may follow a room but not send"}
	case s.role == room.Customer && s.location.options.TherapistsOnly:
		return &room.Invalid{Code: "wrong_role", Detail: "positions of customers are not passed on here"}
	}
	return nil
}

// withoutFuture returns p without its time of recording, if that is too far ahead.
func withoutFuture(p room.Position) room.Position {
	if p.RecordedAt.After(time.Now().Add(maxAhead)) {
		p.RecordedAt = time.Time{}
	}
	return p
}

// send sends a position to all sockets of the room, and keeps it as the last one. The JSON text
// is what the user sent. send does not block.
func (s *sender) send(p room.Position, text []byte, o outcome) {
	l := s.location
	l.options.Failures.Attempt(failure.Location)
	if l.options.Passed != nil {
		l.options.Passed(s.room, s.user, text, s.log)
	}
	position := event.Position{User: s.user, Frame: frame.AppendPosition(make([]byte, 0, 240), s.user, s.role, p, time.Now())}
	if !p.RecordedAt.IsZero() {
		position.Recorded = p.RecordedAt.UnixMilli()
	}
	l.positions.Save(s.room, position, nil) // if Redis is away, publishing fails too
	logged := l.logLimiter.Allow()
	if logged {
		s.log.Info(component, "Location update")
	}
	log, group := s.log, s.group
	l.layer.Publish(group, position, func(err error) {
		if err == nil {
			l.metrics.count("published")
			if logged {
				log.Info(component, "Published to group "+group)
			}
		} else {
			l.metrics.count("failed")
			l.options.Failures.Failed(failure.Location, "channel_layer_unavailable", err)
			log.Error(component, "Failed to publish to group "+group+": "+err.Error(), slog.String("cause", cause.Of(err)))
		}
		o.sent(err)
	})
}
