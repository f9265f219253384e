package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/logging"
)

// receive hands over what the connection brings until it is lost. Any error is a
// loss: the library may already have subscribed again behind it, and what was
// published in between is gone.
func (s *subscriber) receive(ctx context.Context) error {
	for {
		got, err := s.pubsub.ReceiveTimeout(ctx, silence)
		if err != nil {
			if plain(err) == errTimeout { //nolint:errorlint // plain returns it as it is
				return errSilent
			}
			return err //nolint:wrapcheck // the cause, for health to tell
		}
		switch got := got.(type) {
		case *goredis.Message:
			s.message(got)
		case *goredis.Subscription:
			if err := s.confirmed(got.Kind, got.Channel); err != nil {
				return err
			}
		case *goredis.Pong:
		default:
			return fmt.Errorf("unexpected %T", got)
		}
	}
}

func (s *subscriber) message(m *goredis.Message) {
	if m.Channel == s.echo {
		if seq, ok := s.layer.heardEcho(m.Payload); ok {
			s.hear(seq)
		}
		return
	}
	s.layer.deliver(m.Channel, m.Payload)
}

// confirmed takes the confirmation of a command. The own channel is subscribed
// twice, before all groups and after them.
func (s *subscriber) confirmed(command, channel string) error {
	if channel != s.echo {
		return s.layer.groups.confirm(command, channel)
	}
	if s.marks++; command != "subscribe" || s.marks > 2 {
		return errors.New("unexpected " + command + " of the own channel")
	}
	if s.marks == 2 {
		s.mu.Lock()
		s.up = time.Now()
		s.mu.Unlock()
		s.layer.subscribed(s.again)
	}
	return nil
}

// deliver hands one payload to every member of a group on this replica.
func (l *Layer) deliver(channel, envelope string) {
	members := l.groups.members(channel)
	if envelope == "" || envelope[0] != version {
		l.unreadable(channel, envelope)
		for _, m := range members {
			m.missed()
		}
		return
	}
	payload := []byte(envelope[1:])
	for _, m := range members {
		m.deliver(payload)
	}
	l.metrics.deliveries.Add(float64(len(members)))
}

// unreadable counts a payload of a version that this replica does not know, and
// says so once: during an update there may be many.
func (l *Layer) unreadable(channel, envelope string) {
	l.metrics.unreadable.Inc()
	l.warned.Do(func() {
		logging.Component(l.log, slog.LevelWarn, component,
			"Dropped a payload of another version of roomspa; further ones are only counted",
			slog.String("group", strings.TrimPrefix(channel, l.prefix)),
			slog.String("first_byte", fmt.Sprintf("%.1x", envelope)), slog.Int("understood", version))
	})
}
