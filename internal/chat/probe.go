package chat

import (
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// probe publishes a frame like a message, through Redis to every replica, but does
// not store it.
func (s *Consumer) probe(id string) {
	body := event.Probe{User: s.user, Frame: frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})}
	s.chat.layer.Publish(s.group, body, func(err error) {
		if err == nil {
			return
		}
		s.Socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error())
		_ = s.Refuse(&room.Invalid{ // if the outbox is full, the client does not read this answer either
			Code: "channel_layer_unavailable", Detail: cause.Describe(err, "the probe was not published because Redis is unavailable"),
		}, "")
	})
}

// deliverProbe sends a probe back if it is of this user. It drops the probe if the outbox
// is full.
func (s *Consumer) deliverProbe(p event.Probe) {
	if p.User != s.user {
		return
	}
	s.Mu.Lock()
	queued := s.opened && !s.closed && s.QueueLocked(frame.Message{Data: p.Frame}) == nil
	s.Mu.Unlock()
	if queued {
		s.Socket.Wake()
	}
}
