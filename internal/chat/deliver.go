package chat

import (
	"encoding/binary"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A payload between replicas is a header and the finished frame, which is encoded
// once for all sockets of all replicas. The header is the seq and the time of
// publishing in Unix nanoseconds, both 8 bytes, big endian. Frames that are not
// stored have the seq 0, see [Consumer.deliverTransient].
const payloadHeader = 16

func encode(m *room.Message) []byte {
	b := make([]byte, payloadHeader, payloadHeader+320+len(m.Text))
	binary.BigEndian.PutUint64(b, uint64(m.Seq))
	binary.BigEndian.PutUint64(b[8:], uint64(time.Now().UnixNano()))
	return frame.AppendMessage(b, m)
}

// deliver takes a payload of the group. The receive loop of the channel layer calls
// it, so it must not block.
func (s *Consumer) deliver(payload []byte) {
	if len(payload) <= payloadHeader {
		s.missed() // not of this version
		return
	}
	if binary.BigEndian.Uint64(payload) == 0 {
		s.deliverTransient(payload[payloadHeader:])
		return
	}
	now := time.Now().UnixNano()
	s.chat.metrics.fanout.Observe(max(0, float64(now-int64(binary.BigEndian.Uint64(payload[8:])))/1e9))
	s.Mu.Lock()
	wake := !s.closed && s.cursor.accept(delivery{
		seq: int64(binary.BigEndian.Uint64(payload)), frame: payload[payloadHeader:], at: now,
	})
	if s.cursor.gap && s.overflowedAt == 0 {
		s.overflowedAt = now
	}
	wake = wake && s.opened
	s.Mu.Unlock()
	if wake {
		s.Socket.Wake()
	}
}

// missed is called by the channel layer when payloads of the group may have been
// lost. A lost last message leaves no gap, so it also requests a sweep.
func (s *Consumer) missed() {
	s.Mu.Lock()
	if !s.opened {
		s.cursor.gap = true // the sweep does not know this socket yet
	}
	pending := s.cursor.gap || s.cursor.hasHole()
	s.Mu.Unlock()
	s.chat.requestSweep()
	if pending {
		s.Socket.Wake()
	}
}

// catchUp makes the socket read the store unless it has heard of all messages up to
// seq. A seq of 0 means that nobody knows the highest seq.
func (s *Consumer) catchUp(seq int64) {
	s.Mu.Lock()
	behind := seq == 0 || seq > s.cursor.latest
	if behind {
		s.cursor.gap = true
		s.cursor.latest = max(s.cursor.latest, seq)
		s.excusedSeq = max(s.excusedSeq, s.cursor.latest)
	}
	s.Mu.Unlock()
	if behind {
		s.Socket.Wake()
	}
}
