package redis

import (
	"context"
	"crypto/rand"
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

	subscribe, unsubscribe func(context.Context, ...string) error
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
// the confirmation. sharded, in mode cluster only, means that the subscription uses the commands
// of sharded Pub/Sub: all its channels must have the same hash tag, which chooses the node. If
// the node does not serve the slot, or not any more, an error wraps [ErrMoved]. In mode cluster
// without sharded each subscription is at a node chosen by chance. The subscription ends with
// ctx. Call Close in the end.
func (c *Client) Subscribe(ctx context.Context, channel string, sharded bool) (*Subscription, error) {
	ctx, permit := withPermit(ctx)
	dial, cancel := c.withTimeout(ctx)
	defer cancel()
	s := &Subscription{client: c, ctx: ctx, permit: permit}
	if cluster, ok := c.redis.(*goredis.ClusterClient); ok {
		at := channel
		if !sharded {
			at = rand.Text()
		}
		node, err := cluster.MasterForKey(context.WithValue(dial, permitKey{}, nil), at) // it may dial to read the slots
		if err != nil {
			c.reloadSlots(ctx)
			return nil, c.explain(err)
		}
		s.pubsub = node.Subscribe(ctx)
	} else {
		s.pubsub = c.redis.Subscribe(ctx)
	}
	s.subscribe, s.unsubscribe = s.pubsub.Subscribe, s.pubsub.Unsubscribe
	if sharded {
		s.subscribe, s.unsubscribe = s.pubsub.SSubscribe, s.pubsub.SUnsubscribe
	}
	if err := s.subscribe(dial, channel); err != nil {
		s.Close()
		c.reloadSlots(ctx)
		return nil, c.explain(err)
	}
	return s, nil
}

// Subscribe sends SUBSCRIBE, or SSUBSCRIBE. Redis confirms each channel by an event, in order.
func (s *Subscription) Subscribe(channels ...string) error {
	return s.client.explain(s.subscribe(s.ctx, channels...))
}

// SubscribePlain sends SUBSCRIBE even if the subscription is sharded. Redis confirms each channel
// by an event, in order.
func (s *Subscription) SubscribePlain(channels ...string) error {
	return s.client.explain(s.pubsub.Subscribe(s.ctx, channels...))
}

// Unsubscribe sends UNSUBSCRIBE, or SUNSUBSCRIBE. Redis confirms each channel by an event, in
// order. If a slot moves to another node, Redis confirms without being asked.
func (s *Subscription) Unsubscribe(channels ...string) error {
	return s.client.explain(s.unsubscribe(s.ctx, channels...))
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
	case isMoved(err) && s.client.isCluster():
		s.client.reloadSlots(s.ctx)
		return Event{}, fmt.Errorf("%w (%w)", ErrMoved, err)
	case err != nil:
		s.client.reloadSlots(s.ctx)
		return Event{}, s.client.explain(err)
	}
	switch received := received.(type) {
	case *goredis.Message:
		return Event{Kind: Message, Channel: received.Channel, Payload: received.Payload}, nil
	case *goredis.Subscription:
		switch received.Kind {
		case "subscribe", "ssubscribe":
			return Event{Kind: Subscribed, Channel: received.Channel}, nil
		case "unsubscribe", "sunsubscribe":
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
