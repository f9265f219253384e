//go:build mutant_cursor_accepts_any_order

package chat

// accept takes in whatever comes, however often.
func (c *cursor) accept(d delivery) bool {
	c.latest = max(c.latest, d.seq)
	c.inbox = append(c.inbox, d)
	c.bytes += len(d.frame)
	return true
}

// next hands it out as it came.
func (c *cursor) next() (d delivery, ok bool) {
	if len(c.inbox) == 0 {
		return d, false
	}
	d = c.inbox[0]
	c.seen = max(c.seen, d.seq)
	c.drop(1)
	return d, true
}
