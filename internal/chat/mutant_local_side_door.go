//go:build mutant_local_side_door

package chat

import (
	"slices"

	"github.com/roomspa/roomspa/internal/room"
)

// publish hands the message to the sockets of this replica, and to no other.
func (s *Consumer) publish(m *room.Message, _ bool) {
	s.chat.mu.Lock()
	here := slices.Clone(s.chat.sockets[m.Conversation])
	s.chat.mu.Unlock()
	for _, other := range here {
		other.deliver(encode(m))
	}
}
