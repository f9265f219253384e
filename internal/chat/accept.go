package chat

import "slices"

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
