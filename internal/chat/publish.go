package chat

import (
	"github.com/roomspa/roomspa/internal/cause"

	"log/slog"

	"github.com/roomspa/roomspa/internal/room"
)

// publish tells all sockets of the room, on every replica, through Redis. Where
// that fails the message is looked for: it is stored, and nobody else knows of it.
func (s *Consumer) publish(m *room.Message, told bool) {
	chat, seq := s.chat, slog.Int64("seq", m.Seq)
	chat.layer.Publish(s.group, encode(m), func(err error) {
		switch {
		case err != nil:
			chat.metrics.unpublished.Inc()
			s.socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error(), seq, slog.String("cause", cause.Of(err)))
			chat.doubt()
		case told:
			s.socket.Log().Info(component, "Published to group "+s.group, seq)
		}
	})
}
