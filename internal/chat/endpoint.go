package chat

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
)

const (
	name      = "chat"
	component = "ChatConsumer"
	// outboxBytes bounds the acks, errors and history pages that a client leaves unread.
	outboxBytes = 512 << 10
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

// parseSince returns the since parameter, the highest seq that the client has, or
// nil if there is none.
func parseSince(q url.Values) (*int64, *frame.Close) {
	if !q.Has("since") {
		return nil, nil
	}
	n, err := strconv.ParseInt(q.Get("since"), 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(q.Get("since"), "+") {
		return nil, &frame.Close{Code: frame.CodeParameters, Reason: "bad_since", Detail: "since must be a whole number of 0 or more: the highest seq that the client has"}
	}
	return &n, nil
}
