package app

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// wave is how many bytes have to be allocated before memory is given back: that of
	// some 800 handshakes. For less a cycle is not worth it.
	wave = 16 << 20
	// calm is how many bytes may be allocated in a second once a wave is over.
	calm = 2 << 20
)

// ReturnMemory gives memory back to the system after each wave of work, until ctx ends. It
// is about the whole process, so whoever owns that calls it, once. A goroutine's stack
// shrinks by half in a cycle, and those of the readers have grown twice by a message.
func ReturnMemory(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	afterWaves(ctx, func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}, func() {
		debug.FreeOSMemory()
		debug.FreeOSMemory()
	})
}

// afterWaves calls free when a wave of work is over. Allocated counts bytes, and never
// goes down. By itself the runtime keeps what the handshakes and the messages of a busy
// hour have used until there is work again, and then a replica's memory says nothing of
// what its sockets need.
func afterWaves(ctx context.Context, allocated func() uint64, free func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	freed, before := allocated(), allocated()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-freed >= wave && now-before <= calm {
			free()
			now = allocated()
			freed = now
		}
		before = now
	}
}
