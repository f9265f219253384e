package chat

import (
	"encoding/binary"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// The payload of a frame that is not stored has the seq 0, which no message has.
// After the header come the kind (1 byte), the user that sent it (8 bytes, big
// endian) and the frame. A replica that does not know the kind drops it, and so does
// an older version: its cursor takes the seq 0 for an old message.
const (
	kindProbe       = 'p'
	transientHeader = 1 + 8
)

// probe publishes a frame like a message, through Redis to every replica, but does
// not store it.
func (s *Consumer) probe(id string) {
	b := make([]byte, payloadHeader+transientHeader, payloadHeader+transientHeader+32+len(id))
	b[payloadHeader] = kindProbe
	binary.BigEndian.PutUint64(b[payloadHeader+1:], uint64(s.user))
	b = append(b, frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})...)
	s.chat.layer.Publish(s.group, b, func(err error) {
		if err == nil {
			return
		}
		s.Socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error())
		_ = s.Refuse(&room.Invalid{ // if the outbox is full, the client does not read this answer either
			Code: "channel_layer_unavailable", Detail: "the probe was not published because Redis is unavailable",
		}, "")
	})
}

// deliverTransient takes the payload of a frame that is not stored, without its
// header. It drops the frame if the outbox is full.
func (s *Consumer) deliverTransient(payload []byte) {
	if len(payload) <= transientHeader || payload[0] != kindProbe || room.UserID(binary.BigEndian.Uint64(payload[1:])) != s.user {
		return
	}
	s.Mu.Lock()
	queued := s.opened && !s.closed && s.QueueLocked(frame.Message{Data: payload[transientHeader:]}) == nil
	s.Mu.Unlock()
	if queued {
		s.Socket.Wake()
	}
}
