//go:build mutant_publish_retry_off

package chat

import (
	"sync"

	"github.com/roomspa/roomspa/internal/room"
)

var tried sync.Map // ids of messages

// publish tries it once, whatever comes of it and however often the message is sent.
func (s *Consumer) publish(m *room.Message, _ bool) {
	if _, again := tried.LoadOrStore(m.ID, true); !again {
		s.chat.layer.Publish(s.group, encode(m), func(error) {})
	}
}
