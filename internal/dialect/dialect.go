// Package dialect serves the apps of the predecessor, a Django system, on the WebSocket paths of
// chat, location and test. It stands between the sockets of these classic clients and the
// consumers of the endpoints, which know nothing of it: it translates what the client sends, and
// passes on only the frames that the predecessor had, in the form that the predecessor gave them.
package dialect

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// Layer is what the dialect needs from the channel layer.
type Layer interface {
	// Join calls deliver for each event of the group. The calls end with leave. Join returns when
	// the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error)
	// Publish does not block. It calls done once, with nil if Redis has the event.
	Publish(group string, body event.Body, done func(error))
}

// A Dialect is the dialect of the predecessor on one replica. Make it with [New].
type Dialect struct {
	layer   Layer
	metrics *metrics
}

// New returns the dialect.
func New(layer Layer, reg prometheus.Registerer) *Dialect {
	return &Dialect{layer: layer, metrics: newMetrics(reg)}
}

// Wrap returns an endpoint that serves classic clients too, or the endpoint itself if the
// predecessor did not have it. Other clients get the consumer of the endpoint as it is.
func (d *Dialect) Wrap(e endpoint.Endpoint) endpoint.Endpoint {
	wrap := map[string]func(endpoint.Consumer, endpoint.Peer) endpoint.Consumer{
		"chat": d.newChat, "location": d.newLocation, "test": newTest,
	}[e.Name]
	if wrap == nil {
		return e
	}
	create, authorize := e.New, e.Authorize
	e.Classic = true
	e.New = func(p endpoint.Peer) endpoint.Consumer {
		if c := create(p); !p.Classic {
			return c
		} else {
			return wrap(c, p)
		}
	}
	if authorize != nil {
		e.Authorize = func(p endpoint.Peer, find func(room.UserID) *room.User) *endpoint.Rejection {
			if p.Classic {
				turnRoom(p, find)
			}
			return authorize(p, find)
		}
	}
	return e
}

// turnRoom swaps the ids of a path if it names the therapist first. The predecessor let its
// administrators enter a room by both paths.
func turnRoom(p endpoint.Peer, find func(room.UserID) *room.User) {
	if p.User.Role != room.Support || len(p.IDs) != 2 {
		return
	}
	first, second := find(p.IDs[0]), find(p.IDs[1])
	if first != nil && second != nil && first.Role == room.Therapist && second.Role == room.Customer {
		p.IDs[0], p.IDs[1] = p.IDs[1], p.IDs[0]
	}
}
