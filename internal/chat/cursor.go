package chat

import (
	"slices"

	"github.com/roomspa/roomspa/internal/event"
)

// The bounds of a cursor's inbox. Two replicas publish out of seq order in ordinary
// chat, so a few frames are worth keeping; the others are read from Postgres.
const (
	inboxFrames = 64
	inboxBytes  = 12 << 10
)

// A delivery is one message as it arrived from the channel layer.
type delivery struct {
	event.Message       // Frame is shared by all sockets of the room: read-only
	arrived       int64 // Unix nanoseconds
}

// A cursor is the position of one socket in its conversation. Its inbox holds the
// frames that were delivered but not sent, in the order of seq, without duplicates.
// A cursor does no I/O and is not safe for concurrent use.
type cursor struct {
	seen   int64 // all messages up to here were taken
	latest int64 // highest seq known to exist
	inbox  []delivery
	bytes  int
	// gap means that messages after seen are missing in the inbox: they were lost or
	// did not fit.
	gap bool
}

// accept adds a delivery to the inbox. It returns false if that changes nothing: the
// message was taken before, or is in the inbox.
func (c *cursor) accept(d delivery) bool {
	if d.Seq <= c.seen {
		return false
	}
	c.latest = max(c.latest, d.Seq)
	i, known := slices.BinarySearchFunc(c.inbox, d.Seq, func(e delivery, seq int64) int { return int(e.Seq - seq) })
	if known {
		return false
	}
	if len(c.inbox) > 0 && (len(c.inbox) >= inboxFrames || c.bytes+len(d.Frame) > inboxBytes) {
		c.gap = true
		return true
	}
	c.inbox = slices.Insert(c.inbox, i, d)
	c.bytes += len(d.Frame)
	return true
}

// miss notes that a message exists. It returns false if that changes nothing: the message was
// taken before, or is in the inbox.
func (c *cursor) miss(seq int64) bool {
	known := func(d delivery) bool { return d.Seq == seq }
	if seq <= c.seen || slices.ContainsFunc(c.inbox, known) {
		return false
	}
	c.latest, c.gap = max(c.latest, seq), true
	return true
}

// next takes the message that follows the last one, if the inbox has it.
func (c *cursor) next() (d delivery, ok bool) {
	if len(c.inbox) == 0 || c.inbox[0].Seq != c.seen+1 {
		return d, false
	}
	d = c.inbox[0]
	c.seen = d.Seq
	c.drop(1)
	return d, true
}

// skipTo marks all messages up to seq as taken.
func (c *cursor) skipTo(seq int64) {
	c.seen = max(c.seen, seq)
	c.latest = max(c.latest, seq)
	n := 0
	for n < len(c.inbox) && c.inbox[n].Seq <= c.seen {
		n++
	}
	c.drop(n)
}

// drop removes the first n deliveries.
func (c *cursor) drop(n int) {
	for _, d := range c.inbox[:n] {
		c.bytes -= len(d.Frame)
	}
	clear(c.inbox[:n])
	if n == len(c.inbox) {
		c.inbox = nil // an idle socket keeps no memory for it
		return
	}
	c.inbox = c.inbox[n:]
}

// hasHole reports whether messages are missing before the first one of the inbox.
func (c *cursor) hasHole() bool { return len(c.inbox) > 0 && c.inbox[0].Seq > c.seen+1 }
