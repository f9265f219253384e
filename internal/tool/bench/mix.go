package bench

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// typingInterval is how often a sender sends typing in the full mix. A server passes
// on one per user in that time.
const typingInterval = 2 * time.Second

// typingFrame says that the user writes a message.
var typingFrame = []byte(`{"type":"typing","is_typing":true}`)

// stateCounts are the frames about the state of conversations, of the whole run.
type stateCounts struct{ receiptsSent, typingSent, delivered, read, typing atomic.Int64 }

// State counts the frames about the state of conversations. Servers pass on at most one
// receipt per second and user, with the highest number: read stands for delivered, too.
type State struct {
	ReceiptsSent int64 `json:"receipts_sent"` // delivered and read
	TypingSent   int64 `json:"typing_sent"`
	Delivered    int64 `json:"delivered"` // frames received, counted per socket
	Read         int64 `json:"read"`
	Typing       int64 `json:"typing"` // the ends that servers add included
}

// String returns the counts in one line.
func (s *State) String() string {
	return fmt.Sprintf("sent %d receipts, %d typing; received %d delivered, %d read, %d typing", s.ReceiptsSent, s.TypingSent, s.Delivered, s.Read, s.Typing)
}

// count counts a received frame.
func (c *stateCounts) count(frameType string) {
	switch frameType {
	case "delivered":
		c.delivered.Add(1)
	case "read":
		c.read.Add(1)
	case "typing":
		c.typing.Add(1)
	}
}

// report returns the counts for the report.
func (c *stateCounts) report() *State {
	return &State{
		ReceiptsSent: c.receiptsSent.Load(), TypingSent: c.typingSent.Load(),
		Delivered: c.delivered.Load(), Read: c.read.Load(), Typing: c.typing.Load(),
	}
}

// sendReceipts says that the socket's user has received and read a message.
func (s *socket) sendReceipts(seq int64) {
	s.run.totals.state.receiptsSent.Add(2)
	s.write(receiptFrame("delivered", seq))
	s.write(receiptFrame("read", seq))
}

func receiptFrame(frameType string, seq int64) []byte {
	b := append(make([]byte, 0, 48), `{"type":"`...)
	b = append(append(b, frameType...), `","seq":`...)
	return append(strconv.AppendInt(b, seq, 10), '}')
}

// sendTyping sends typing if the last one was typingInterval ago. Senders begin at
// different times, so that not all of them type at once.
func (s *sender) sendTyping(now time.Duration) {
	s.group.mu.Lock()
	if s.typeAt == 0 {
		s.typeAt = now + time.Duration(s.index)*typingInterval/time.Duration(len(s.group.run.senders))
	}
	due := now >= s.typeAt
	if due {
		s.typeAt = now + typingInterval
	}
	s.group.mu.Unlock()
	if due {
		s.group.run.totals.state.typingSent.Add(1)
		s.socket.write(typingFrame)
	}
}
