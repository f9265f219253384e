package app

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/session"
)

const (
	// wave is how many bytes have to be allocated before memory is given back: that of
	// some 800 handshakes. For less a cycle is not worth it.
	wave = 16 << 20
	// calm is how many bytes may be allocated in a second once a wave is over.
	calm = 2 << 20
)

// LimitHeap tells the collector of the replica's memory limit, so that garbage is never why
// a socket or a sign-in is refused: near its own limit it works harder. It is about the
// whole process, so whoever owns that calls it, once. GOMEMLIMIT is stronger.
func (a *App) LimitHeap() {
	limit := a.memory.Limit()
	if limit == 0 {
		return
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // else GOMEMLIMIT has set one
		debug.SetMemoryLimit(heapLimit(limit, a.options.LoginConcurrency))
	}
	collector := debug.SetMemoryLimit(-1)
	a.memory.Collector(collector)
	a.say(slog.LevelInfo, fmt.Sprintf("Memory: %d of %d MiB are used; the collector keeps to %d", a.memory.Used()>>20, limit>>20, collector>>20))
	if !a.memory.Has(auth.Memory) {
		a.say(slog.LevelWarn, "So little memory is left that every sign-in is told to come back (503 busy): each takes 64 MiB")
	}
	if a.memory.Share() > session.SoftMemory {
		a.say(slog.LevelWarn, "So little memory is left that every socket is told to come back (1013 busy)")
	}
}

// heapLimit leaves of a limit a fifth to the program itself, the kernel's side of the
// sockets and the distance to where they are refused, and to each password what it takes.
// Below half of it the collector would be at work all the time.
func heapLimit(limit int64, passwords int) int64 {
	return max(limit/2, limit/5*4-int64(passwords)*auth.Memory)
}

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
