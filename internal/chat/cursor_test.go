package chat

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/roomspa/roomspa/internal/event"
)

// Whatever comes in, in whatever order, twice or never: what a cursor hands out is
// consecutive, and what it cannot hand out it knows to be missing.
func TestCursorHandsOutConsecutiveMessagesWhateverComesIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 3).Draw(t, "start")
		var c cursor
		c.skipTo(start)
		expected, highest := start, start
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0, 1:
				seq := rapid.Int64Range(max(1, expected-3), expected+90).Draw(t, "seq")
				size := rapid.IntRange(1, 2000).Draw(t, "size")
				c.accept(delivery{Message: event.Message{Seq: seq, Frame: make([]byte, size)}})
				highest = max(highest, seq)
			case 2:
				if d, ok := c.next(); ok {
					if expected++; d.Seq != expected {
						t.Fatalf("handed out %d, expected %d", d.Seq, expected)
					}
				}
			default: // a page from the store
				expected += rapid.Int64Range(0, 5).Draw(t, "page")
				c.skipTo(expected)
				highest = max(highest, expected)
			}
			check(t, &c, expected, highest)
		}
	})
}

func check(t *rapid.T, c *cursor, expected, highest int64) {
	bytes := 0
	for i, d := range c.inbox {
		bytes += len(d.Frame)
		if d.Seq <= expected || i > 0 && d.Seq <= c.inbox[i-1].Seq {
			t.Fatalf("the inbox is out of order, or holds what was handed out: %d after %d", d.Seq, expected)
		}
	}
	switch {
	case c.seen != expected:
		t.Fatalf("seen is %d, expected %d", c.seen, expected)
	case c.latest != highest:
		t.Fatalf("latest is %d, heard of %d", c.latest, highest)
	case bytes != c.bytes:
		t.Fatalf("counts %d bytes, holds %d", c.bytes, bytes)
	case len(c.inbox) > inboxFrames || len(c.inbox) > 1 && bytes > inboxBytes:
		t.Fatalf("holds %d frames of %d bytes", len(c.inbox), bytes)
	case c.latest > c.seen && !c.gap && len(c.inbox) == 0:
		t.Fatal("messages are known of, but neither held nor known to be missing")
	}
}
