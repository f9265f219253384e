package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A Subscription is one connection that receives what is published on its channels. It
// never reconnects: after an error it is of no further use. One goroutine may call
// Receive while another one calls the other methods. Errors name their cause.
type Subscription struct {
	client *Client
	ctx    context.Context // carries the permit for the only dial, so that all calls have to use it
	permit *permit
	pubsub *goredis.PubSub
}

// An EventKind says what an [Event] is.
type EventKind uint8

// The kinds of events.
const (
	Message      EventKind = iota // a payload was published on Channel
	Subscribed                    // Redis confirmed SUBSCRIBE of Channel
	Unsubscribed                  // Redis confirmed UNSUBSCRIBE of Channel
	Pong                          // Redis answered PING
)

// An Event is what a [Subscription] received.
type Event struct {
	Kind    EventKind
	Channel string
	Payload string
}

// Subscribe dials a connection and sends SUBSCRIBE for a channel; it does not wait for
// the confirmation. In Redis Cluster the channel chooses the node. The subscription ends
// with ctx. Call Close in the end.
func (c *Client) Subscribe(ctx context.Context, channel string) (*Subscription, error) {
	ctx, permit := withPermit(ctx)
	s := &Subscription{client: c, ctx: ctx, permit: permit, pubsub: c.redis.Subscribe(ctx)}
	dial, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := s.pubsub.Subscribe(dial, channel); err != nil {
		s.Close()
		return nil, c.explain(err)
	}
	return s, nil
}

// Subscribe sends SUBSCRIBE. Redis confirms each channel by an event, in order.
func (s *Subscription) Subscribe(channels ...string) error {
	return s.client.explain(s.pubsub.Subscribe(s.ctx, channels...))
}

// Unsubscribe sends UNSUBSCRIBE. Redis confirms each channel by an event, in order.
func (s *Subscription) Unsubscribe(channels ...string) error {
	return s.client.explain(s.pubsub.Unsubscribe(s.ctx, channels...))
}

// Ping sends PING. Redis answers by an event.
func (s *Subscription) Ping() error { return s.client.explain(s.pubsub.Ping(s.ctx)) }

// Receive waits for the next event. If none comes within timeout, the error wraps
// [ErrTimeout].
func (s *Subscription) Receive(timeout time.Duration) (Event, error) {
	received, err := s.pubsub.ReceiveTimeout(s.ctx, timeout)
	switch {
	case err != nil && answersPing(err):
		return Event{Kind: Pong}, nil
	case err != nil:
		return Event{}, s.client.explain(err)
	}
	switch received := received.(type) {
	case *goredis.Message:
		return Event{Kind: Message, Channel: received.Channel, Payload: received.Payload}, nil
	case *goredis.Subscription:
		switch received.Kind {
		case "subscribe":
			return Event{Kind: Subscribed, Channel: received.Channel}, nil
		case "unsubscribe":
			return Event{Kind: Unsubscribed, Channel: received.Channel}, nil
		}
		return Event{}, s.client.explain(fmt.Errorf("unexpected %s", received.Kind))
	case *goredis.Pong:
		return Event{Kind: Pong}, nil
	default:
		return Event{}, s.client.explain(fmt.Errorf("unexpected %T", received))
	}
}

// Cut closes the connection, so that a blocked call returns.
func (s *Subscription) Cut() { s.permit.cut() }

// Close releases the subscription.
func (s *Subscription) Close() { _ = s.pubsub.Close() } // the connection is lost in any case
