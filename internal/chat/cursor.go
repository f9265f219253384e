package chat

import "slices"

// What a cursor holds back for messages that came out of order. Two replicas
// publish out of seq order in ordinary chat, so a few frames are worth waiting
// for; anything more is asked of Postgres.
const (
	inboxFrames = 64
	inboxBytes  = 16 << 10
)

// A delivery is one message as it came over the channel layer.
type delivery struct {
	seq   int64
	frame []byte // shared by all sockets of the room: never written to
	at    int64  // Unix nanoseconds of its arrival
}

// A cursor is what one socket has seen, and what waits to be seen: the frames of
// its inbox in the order of seq, none twice. It is pure: no lock, no clock, no
// store.
type cursor struct {
	seen   int64 // every message up to here was handed out
	latest int64 // the highest seq that was heard of
	inbox  []delivery
	bytes  int
	// gap says that the inbox cannot tell all of what comes after seen: something
	// was missed, or there was no room for it.
	gap bool
}

// accept takes a message in. It reports whether there is something new to hand
// out or to look for.
func (c *cursor) accept(d delivery) bool {
	if d.seq <= c.seen {
		return false
	}
	c.latest = max(c.latest, d.seq)
	i, known := slices.BinarySearchFunc(c.inbox, d.seq, func(e delivery, seq int64) int { return int(e.seq - seq) })
	if known {
		return false
	}
	if len(c.inbox) > 0 && (len(c.inbox) >= inboxFrames || c.bytes+len(d.frame) > inboxBytes) {
		c.gap = true // it is in Postgres
		return true
	}
	c.inbox = slices.Insert(c.inbox, i, d)
	c.bytes += len(d.frame)
	return true
}

// next takes out the message that follows the last one that was handed out.
func (c *cursor) next() (d delivery, ok bool) {
	if len(c.inbox) == 0 || c.inbox[0].seq != c.seen+1 {
		return d, false
	}
	d = c.inbox[0]
	c.seen = d.seq
	c.drop(1)
	return d, true
}

// skipTo says that everything up to seq was handed out by another way.
func (c *cursor) skipTo(seq int64) {
	c.seen = max(c.seen, seq)
	c.latest = max(c.latest, seq)
	n := 0
	for n < len(c.inbox) && c.inbox[n].seq <= c.seen {
		n++
	}
	c.drop(n)
}

func (c *cursor) drop(n int) {
	for _, d := range c.inbox[:n] {
		c.bytes -= len(d.frame)
	}
	clear(c.inbox[:n])
	if n == len(c.inbox) {
		c.inbox = nil // an idle socket keeps none
		return
	}
	c.inbox = c.inbox[n:]
}

// hole reports whether messages are missing before the first one of the inbox.
func (c *cursor) hole() bool { return len(c.inbox) > 0 && c.inbox[0].seq > c.seen+1 }
