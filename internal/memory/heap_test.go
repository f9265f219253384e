package memory

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsReturnedAfterABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var allocated, freed atomic.Uint64
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go afterBursts(ctx, allocated.Load, func() { freed.Add(1) })
		work := func(seconds int, each uint64) {
			for range seconds {
				allocated.Add(each)
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
				synctest.Wait()
			}
		}
		work(60, 10<<20)
		if freed.Load() != 0 {
			t.Fatal("freed in the midst of it")
		}
		work(2, 1<<10)
		if freed.Load() != 1 {
			t.Fatalf("freed %d times when it is over", freed.Load())
		}
		work(600, 10<<10)
		if freed.Load() != 1 {
			t.Fatal("freed for nothing")
		}
		work(2, 20<<20)
		work(1, 0)
		if freed.Load() != 2 {
			t.Fatalf("freed %d times after another burst", freed.Load())
		}
	})
}

func TestTheHeapLeavesRoomForTheRest(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct{ limit, reserved, want int64 }{
		{1000, 64, 736},
		{1000, 4 * 64, 544},
		{1000, 16 * 64, 500},
		{100, 64, 50},
	} {
		if got := heapLimit(c.limit*mib, c.reserved*mib); got != c.want*mib {
			t.Errorf("%d MiB of %d with %d reserved, want %d", got/mib, c.limit, c.reserved, c.want)
		}
	}
}
