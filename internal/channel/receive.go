package channel

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/redis"
)

// receive delivers what the subscription receives until it is lost.
func (s *subscriber) receive() error {
	for {
		event, err := s.subscription.Receive(s.shard.silence)
		if errors.Is(err, redis.ErrTimeout) {
			return fault{fmt.Errorf("silent for %v though the connection is open", s.shard.silence), causeStalled}
		}
		if err == nil {
			err = s.handle(event)
		}
		if err != nil {
			return err
		}
	}
}

func (s *subscriber) handle(e redis.Event) error {
	switch e.Kind {
	case redis.Message:
		if e.Channel != s.echo {
			s.shard.deliver(e.Channel, e.Payload)
		} else if seq, ok := s.shard.receiveEcho(e.Payload); ok {
			s.echoReceived(seq)
		}
	case redis.Unreadable:
		s.shard.dropUnreadable(e.Channel, e.Payload)
	case redis.Subscribed, redis.Unsubscribed:
		if e.Channel != s.echo {
			return s.shard.groups.confirm(e.Channel, e.Kind == redis.Subscribed)
		}
		return s.confirmEcho(e.Kind == redis.Subscribed)
	case redis.Pong:
	}
	return nil
}

// confirmEcho handles a confirmation of the echo channel, which is subscribed twice:
// before all groups, to dial the connection, and after them.
func (s *subscriber) confirmEcho(subscribed bool) error {
	if s.echoConfirms++; !subscribed || s.echoConfirms > 2 {
		return fault{errors.New("unexpected confirmation for the echo channel"), causeOther}
	}
	if s.echoConfirms == 2 {
		s.mu.Lock()
		s.upSince = time.Now()
		s.mu.Unlock()
		s.shard.onSubscribed(s.again)
	}
	return nil
}

// deliver passes one payload to every member of a group on this replica.
func (s *shard) deliver(channel, text string) {
	members := s.groups.members(channel)
	payload := []byte(text)
	for _, m := range members {
		m.deliver(payload)
	}
	s.metrics.deliveries.Add(float64(len(members)))
}

// dropUnreadable handles a payload of a version that this replica does not know: its
// members have missed it. It logs only the first one, since an update may bring many.
func (s *shard) dropUnreadable(channel, text string) {
	for _, m := range s.groups.members(channel) {
		m.missed()
	}
	s.warnOnce.Do(func() {
		logging.Component(s.log, slog.LevelWarn, component,
			"Dropped a payload from another version of roomspa; further drops are counted but not logged",
			slog.String("group", strings.TrimPrefix(channel, s.prefix)),
			slog.String("first_byte", fmt.Sprintf("%.1x", text)), slog.Int("understood", redis.Version))
	})
}
