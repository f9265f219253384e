package chat

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// maxCursorRead is the number of conversations whose cursors one query reads.
const maxCursorRead = 500

// repairCursors reads the cursors that have changed in the last window, or those of all
// conversations with sockets if window exceeds maxSweepWindow, and tells the sockets that have
// not heard of them. It returns false if a query failed.
func (c *Chat) repairCursors(ctx context.Context, window time.Duration) bool {
	resets := c.resets.Load()
	if window <= maxSweepWindow {
		changed, err := c.store.ChangedCursors(ctx, window)
		if err != nil {
			return false
		}
		c.raiseCursors(changed, resets)
		return true
	}
	c.mu.Lock()
	conversations := slices.Collect(maps.Keys(c.sockets))
	c.mu.Unlock()
	for some := range slices.Chunk(conversations, maxCursorRead) {
		found, err := c.store.CursorsOf(ctx, some)
		if err != nil {
			return false
		}
		c.raiseCursors(found, resets)
	}
	return true
}

// raiseCursors passes on cursors that were read after so many resets of sockets.
func (c *Chat) raiseCursors(cursors []room.Receipt, resets int64) {
	valid := func() bool { return c.resets.Load() == resets }
	for _, r := range cursors {
		c.mu.Lock()
		list := slices.Clone(c.sockets[r.Conversation])
		c.mu.Unlock()
		for _, s := range list {
			s.raiseCursor(r, valid)
		}
	}
}
