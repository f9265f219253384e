package chat

// What a cursor holds back for messages that came out of order. Two replicas
// publish out of seq order in ordinary chat, so a few frames are worth waiting
// for; anything more is asked of Postgres.
const (
	inboxFrames = 64
	inboxBytes  = 12 << 10
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
