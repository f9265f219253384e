package chat

import (
	"net/url"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
)

const (
	name      = "chat"
	component = "ChatConsumer"
	// outboxBytes bounds the acks and errors that a client leaves unread.
	outboxBytes = 128 << 10
)

// Endpoint returns the declaration of the endpoint.
func (c *Chat) Endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Name: name, Component: component,
		IDs: endpoint.RoomIDs, Authorize: endpoint.AuthorizeRoom,
		Query: func(q url.Values) *frame.Close {
			_, bad := parseSince(q)
			return bad
		},
		Group: func(p endpoint.Peer) string { return p.Room().Group(name) },
		Load:  "conversation loaded",
		New:   func(p endpoint.Peer) endpoint.Consumer { return c.newConsumer(p) },
	}
}
