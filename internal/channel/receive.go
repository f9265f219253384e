package channel

import (
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
)

// receive delivers what the subscription receives until it is lost.
func (s *subscriber) receive() error {
	for {
		received, err := s.subscription.Receive(s.shard.silence)
		if errors.Is(err, redis.ErrTimeout) {
			return fault{fmt.Errorf("silent for %v though the connection is open", s.shard.silence), causeStalled}
		}
		if err == nil {
			err = s.handle(received)
		}
		if err != nil {
			return err
		}
	}
}

func (s *subscriber) handle(e redis.Event) error {
	switch e.Kind {
	case redis.Message:
		s.receiveMessage(e.Channel, e.Payload)
	case redis.Subscribed, redis.Unsubscribed:
		switch e.Channel {
		case s.shard.layer.deployments.channel:
			return nil
		case s.echo:
			return s.confirmEcho(e.Kind == redis.Subscribed)
		}
		err := s.shard.groups.confirm(s.group(e.Channel), e.Kind == redis.Subscribed)
		if s.sharded && e.Kind == redis.Unsubscribed && errors.Is(err, errUnexpected) {
			return redis.ErrMoved
		}
		return err
	case redis.Pong:
	}
	return nil
}

// confirmEcho handles a confirmation of the echo channel, which is subscribed twice:
// before all groups, to dial the connection, and after them.
func (s *subscriber) confirmEcho(subscribed bool) error {
	if s.sharded && !subscribed {
		return redis.ErrMoved
	}
	if s.echoConfirms++; !subscribed || s.echoConfirms > 2 {
		return fault{errors.New("unexpected confirmation for the echo channel"), causeOther}
	}
	if s.echoConfirms == 2 {
		if s.outdated() {
			return errRenamed // these names are out of date; members are told on the new ones
		}
		s.mu.Lock()
		s.upSince = time.Now()
		s.mu.Unlock()
		s.shard.onSubscribed(&s.deployment, s.again)
	}
	return nil
}

// receiveMessage opens what was published on a channel, and passes it to every member of the
// group on this replica. Nothing happens because of an event that is not authentic.
func (s *subscriber) receiveMessage(channel, text string) {
	if deployments := &s.shard.layer.deployments; channel == deployments.channel {
		deployments.hear(text, time.Now())
		return
	}
	ring := s.shard.client.Ring()
	if !ring.Same(&s.deployment) {
		return // this subscriber is about to be given up
	}
	var members []*member
	if channel != s.echo {
		if members = s.shard.groups.members(s.group(channel)); len(members) == 0 {
			return
		}
	}
	e, err := s.shard.client.Open(ring, channel, []byte(text), 0)
	switch {
	case errors.Is(err, event.ErrUnknown), errors.Is(err, event.ErrBody):
		for _, m := range members {
			m.missed(false)
		}
	case err != nil:
	case channel == s.echo:
		s.receiveEcho(&e)
	default:
		for _, m := range members {
			m.deliver(e)
		}
		s.shard.metrics.deliveries.Add(float64(len(members)))
	}
}
