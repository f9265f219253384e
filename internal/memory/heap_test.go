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
	root := tree(t, map[string]string{
		"proc/self/statm": "900 30 10 1 0 200 0\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.controllers": "memory\n",
		"sys/fs/cgroup/memory.max": "1048576000\n", "sys/fs/cgroup/memory.current": "1\n", "sys/fs/cgroup/memory.stat": "\n",
	})
	for _, c := range []struct{ byHand, children, want int64 }{
		{0, 64, 736}, // of the group's 1000
		{0, 4 * 64, 544},
		{0, 16 * 64, 500},
		{1000, 4 * 64, 800}, // does not count child processes
		{100, 64, 80},
	} {
		m, err := New(root, c.byHand*mib, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.heapLimit(c.children * mib); got != c.want*mib {
			t.Errorf("%d MiB of %d with %d in children, want %d", got/mib, m.Limit()/mib, c.children, c.want)
		}
	}
}
