// Package inbox is an endpoint of a user rather than of a room: its path has no ids.
// The contract test wires it like any other endpoint.
package inbox

import (
	"context"
	"net/url"
	"strconv"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "InboxConsumer"

// Join joins a group of the channel layer.
type Join func(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)

// Endpoint returns the endpoint. load does what the consumers' Open has to wait for.
func Endpoint(join Join, load func(context.Context) error) endpoint.Endpoint {
	return endpoint.Endpoint{
		Name: "inbox", Component: component, Load: "inbox loaded",
		Query: func(q url.Values) *frame.Close {
			if v := q.Get("text"); v != "" && v != "0" && v != "1" {
				return &frame.Close{Code: frame.CodeParameters, Reason: "bad_text", Detail: "text takes 0 or 1"}
			}
			return nil
		},
		Group: func(p endpoint.Peer) string { return "inbox_" + strconv.FormatInt(int64(p.User.ID), 10) },
		New: func(p endpoint.Peer) endpoint.Consumer {
			return &consumer{Base: endpoint.NewBase(p.Socket, component, 4096), group: p.Group, join: join, load: load}
		},
	}
}

type consumer struct {
	endpoint.Base
	group string
	join  Join
	load  func(context.Context) error
	leave func()
}

func (c *consumer) Join(ctx context.Context) error {
	leave, err := c.join(ctx, c.group, func(payload []byte) { _ = c.Answer(payload) }, func() {})
	c.leave = leave
	return err
}

func (c *consumer) Open(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return endpoint.DatabaseError("load_inbox", err)
	}
	connected := frame.Encode(frame.Connected{Type: frame.TypeConnected, Ref: c.Socket.Log().Ref})
	c.Mu.Lock()
	defer c.Mu.Unlock()
	return c.QueueLocked(frame.Message{Data: connected})
}

func (c *consumer) Receive(_ context.Context, m frame.Message) error {
	in, bad, err := endpoint.Decode(m, decode)
	switch {
	case err != nil:
		return err
	case bad != nil:
		c.LogRefused(bad)
		return c.Refuse(bad, "")
	}
	_, err = c.Control(in.Type, in.Token, "")
	return err
}

// decode reads a frame of the endpoint: a ping or an auth frame.
func decode(text []byte) (frame.Client, error) {
	in, err := frame.Decode(text)
	if err == nil && in.Type != frame.TypePing && in.Type != frame.TypeAuth {
		err = &room.Invalid{Code: "unknown_type", Field: "type", Detail: "an inbox takes no such frame"}
	}
	return in, err
}

func (c *consumer) Next(context.Context, bool) (frame.Message, error) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	return c.TakeLocked(), nil
}

func (c *consumer) Closed() {
	if c.leave != nil {
		c.leave()
	}
}
