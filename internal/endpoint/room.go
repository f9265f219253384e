package endpoint

import (
	"fmt"
	"log/slog"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// RoomIDs are the ids in the path of an endpoint whose sockets belong to a room.
var RoomIDs = []string{"customer_id", "therapist_id"}

// Room returns the room that the path names. The endpoint's IDs must be [RoomIDs].
func (p *Peer) Room() room.Room {
	return room.Room{Customer: p.IDs[0], Therapist: p.IDs[1]}
}

// AuthorizeRoom is the Endpoint.Authorize of a room: [room.MayEnter] decides.
func AuthorizeRoom(p Peer, find func(room.UserID) *room.User) *Rejection {
	u := p.User
	d := room.MayEnter(u, p.Room(), find)
	if d == nil {
		return nil
	}
	line := fmt.Sprintf("Authorization failed - %s %d tried to access %s %d", u.Role, u.ID, d.Side, d.User)
	switch d.Reason {
	case "wrong_role":
		line = fmt.Sprintf("Authorization failed - %s %d tried to connect as %s %d", u.Role, u.ID, d.Side, d.User)
	case "no_such_customer", "no_such_therapist":
		line += ", who does not exist"
	}
	return &Rejection{Close: &frame.Close{Code: frame.CodeForbidden, Reason: d.Reason, Detail: d.Detail(u)}, Line: line}
}

// Audit logs that the user reads a room, if the user is support. Consumers call it before
// each read: when the socket opens, and for each page.
func Audit(log *logging.Conn, role room.Role, user room.UserID, r room.Room, endpoint, event string, more ...slog.Attr) {
	if role != room.Support {
		return
	}
	log.Audit("Support "+event, append([]slog.Attr{
		slog.Int64("user", int64(user)), slog.String("endpoint", endpoint),
		slog.Int64("customer", int64(r.Customer)), slog.Int64("therapist", int64(r.Therapist)),
	}, more...)...)
}
