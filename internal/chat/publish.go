package chat

import (
	"log/slog"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// publish announces a stored message to all sockets of the room, on every replica,
// through Redis. If that fails, a sweep finds the message.
func (s *Consumer) publish(m *room.Message, logged bool) {
	chat, seq := s.chat, slog.Int64("seq", m.Seq)
	chat.layer.Publish(s.group, newEvent(m), func(err error) {
		switch {
		case err != nil:
			chat.metrics.unpublished.Inc()
			chat.options.Failures.Failed(failure.Send, "channel_layer_unavailable", err)
			log := s.Socket.Log()
			log.Error(component, "Failed to publish to group "+s.group+": "+err.Error(), seq, slog.String("cause", cause.Of(err)))
			log.Note(component, "Failed to publish to group "+s.group, seq, slog.String("cause", cause.Of(err)))
			chat.requestSweep()
		case logged:
			s.Socket.Log().Note(component, "Published to group "+s.group, seq)
			s.Socket.Log().Info(component, "Published to group "+s.group, seq)
		}
	})
	if chat.options.Inboxes != nil {
		chat.options.Inboxes.Notify(s.room, *m)
	}
}

// newEvent returns the event of a message. Its frame is encoded once for all sockets of
// all replicas.
func newEvent(m *room.Message) event.Message {
	return event.Message{Seq: m.Seq, Sender: m.Sender, Number: m.Number, At: m.At.UnixMicro(), Frame: encode(m)}
}

// encode returns the frame of a message.
func encode(m *room.Message) []byte {
	return frame.AppendMessage(make([]byte, 0, 320+len(m.Text)+len(m.Metadata)), m)
}
