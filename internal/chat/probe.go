package chat

import (
	"encoding/binary"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// What passes through the group without being stored: after the header with the seq
// 0 come its kind (1 byte), the user that it is from (8 bytes) and the frame. A
// replica that does not know of it drops it: to its cursor a seq of 0 is old.
const (
	kindProbe     = 'p'
	passingHeader = 1 + 8
)

// probe sends a frame the way of a message, through Redis to every replica, and
// leaves nothing behind.
func (s *Consumer) probe(id string) {
	b := make([]byte, payloadHeader+passingHeader, payloadHeader+passingHeader+32+len(id))
	b[payloadHeader] = kindProbe
	binary.BigEndian.PutUint64(b[payloadHeader+1:], uint64(s.user))
	b = append(b, frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})...)
	s.chat.layer.Publish(s.group, b, func(err error) {
		if err == nil {
			return
		}
		s.socket.Log().Error(component, "Failed to publish to group "+s.group+": "+err.Error())
		_ = s.refuse(frame.Client{}, &room.Invalid{ // a client that does not read its answers misses this one too
			Code: "channel_layer_unavailable", Detail: "the probe could not be passed on: Redis cannot be used now",
		})
	})
}

// passing takes what is not stored. It does not block; where the client leaves too
// much unread, it is dropped.
func (s *Consumer) passing(payload []byte) {
	if len(payload) <= passingHeader || payload[0] != kindProbe || room.UserID(binary.BigEndian.Uint64(payload[1:])) != s.user {
		return
	}
	s.mu.Lock()
	added := s.open && !s.closed && s.out.Add(frame.Message{Data: payload[passingHeader:]}, outboxBytes) == nil
	s.mu.Unlock()
	if added {
		s.socket.Wake()
	}
}
