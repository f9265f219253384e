package batch_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/batch"
)

func TestWhatArrivesDuringABatchIsTheNextOne(t *testing.T) {
	t.Parallel()
	var got [][]int
	started, release := make(chan struct{}, 8), make(chan struct{})
	q := batch.New(3, 100, func(_ context.Context, items []int) {
		got = append(got, slices.Clone(items))
		started <- struct{}{}
		<-release
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { q.Run(ctx) })
	q.Add(1)
	<-started
	for i := 2; i <= 6; i++ {
		q.Add(i)
	}
	close(release)
	cancel() // what waits is still handed over
	wg.Wait()
	want := [][]int{{1}, {2, 3, 4}, {5, 6}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if q.Add(7) {
		t.Fatal("a stopped queue took an item")
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	q := batch.New(10, 2, func(context.Context, []int) {})
	if !q.Add(1) || !q.Add(2) || q.Add(3) {
		t.Fatal("the limit is two waiting items")
	}
}

func TestNothingIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	sum := 0
	q := batch.New(16, 1<<20, func(_ context.Context, items []int) {
		for _, n := range items {
			sum += n
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var run, add sync.WaitGroup
	run.Go(func() { q.Run(ctx) })
	for range 8 {
		add.Go(func() {
			for i := 1; i <= 1000; i++ {
				q.Add(i)
			}
		})
	}
	add.Wait()
	cancel()
	run.Wait()
	if want := 8 * 1000 * 1001 / 2; sum != want {
		t.Fatalf("sum is %d, want %d", sum, want)
	}
}

func TestDoProcessesInTheCallingGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []int
		processed := func() []int {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
		var q *batch.Queue[int]
		q = batch.New(100, 100, func(_ context.Context, items []int) {
			mu.Lock()
			got = append(got, items...)
			mu.Unlock()
			if items[0] == 1 && !q.Do(t.Context(), 2) { // waits for the worker: one batch at a time
				t.Error("the queue refuses an item")
			}
		})
		if !q.Do(t.Context(), 0) {
			t.Fatal("the queue refuses an item")
		}
		if len(processed()) > 0 {
			t.Fatal("a batch was processed before Run")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { q.Run(ctx) })
		synctest.Wait()
		q.Do(t.Context(), 1)
		if got := processed(); len(got) < 2 || got[1] != 1 {
			t.Fatalf("%v are processed when Do returns", got)
		}
		synctest.Wait()
		if got := processed(); !slices.Equal(got, []int{0, 1, 2}) {
			t.Fatalf("%v are processed in the end", got)
		}
		cancel()
		run.Wait()
		if q.Do(t.Context(), 3) {
			t.Fatal("a stopped queue took an item")
		}
	})
}

func TestRunWaitsForWhatCallersProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		q := batch.New(100, 100, func(context.Context, []int) { <-release })
		ctx, cancel := context.WithCancel(t.Context())
		stopped := false
		go func() { q.Run(ctx); stopped = true }()
		synctest.Wait()
		go q.Do(t.Context(), 1)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if stopped {
			t.Fatal("Run has returned while a batch is processed")
		}
		close(release)
		synctest.Wait()
		if !stopped {
			t.Fatal("Run has not returned")
		}
	})
}

func TestAPanicOfACallerDoesNotStopTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		done := 0
		q := batch.New(100, 100, func(_ context.Context, items []int) {
			if items[0] == 0 {
				panic("zero")
			}
			done++
		})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { q.Run(ctx) })
		synctest.Wait()
		func() {
			defer func() { _ = recover() }()
			q.Do(t.Context(), 0)
		}()
		q.Do(t.Context(), 1)
		cancel()
		run.Wait()
		if done != 1 {
			t.Fatalf("%d batches are processed after the panic", done)
		}
	})
}

func TestBatchesGoBesideSlowOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan int, 8), make(chan struct{})
		q := batch.New(100, 100, func(_ context.Context, items []int) {
			started <- len(items)
			<-release
		})
		var may atomic.Bool
		may.Store(true)
		q.AllowBesideSlow(time.Second, 6, 3, may.Load)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { q.Run(ctx) })
		add := func(n, begun int) {
			t.Helper()
			for i := range n {
				q.Add(i)
			}
			synctest.Wait()
			if len(started) != begun {
				t.Fatalf("%d batches have begun, want %d", len(started), begun)
			}
		}
		add(1, 1)
		add(1, 1) // the first one is not slow yet
		sleep(time.Second)
		may.Store(false)
		add(1, 1)
		may.Store(true)
		add(1, 2) // with all three that wait
		sleep(time.Second)
		add(1, 3) // 1 + 3 + 1 items
		sleep(time.Second)
		add(1, 3) // as many batches as may be
		release <- struct{}{}
		synctest.Wait()
		if want := 4; len(started) != want {
			t.Fatalf("%d batches have begun, want %d", len(started), want)
		}
		close(release)
		cancel()
		run.Wait()
	})
}

func TestNoBatchGoesBesideSlowOnesWithManyItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan int, 8), make(chan struct{})
		q := batch.New(100, 100, func(_ context.Context, items []int) {
			started <- len(items)
			<-release
		})
		q.AllowBesideSlow(time.Second, 6, 3, func() bool { return true })
		for i := range 6 {
			q.Add(i)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { q.Run(ctx) })
		synctest.Wait()
		sleep(time.Second)
		q.Add(6)
		synctest.Wait()
		if len(started) != 1 {
			t.Fatalf("%d batches have begun", len(started))
		}
		close(release)
		cancel()
		run.Wait()
	})
}

func sleep(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's time

func TestAHeldItemWaitsForTheNextOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got [][]int
		q := batch.New(10, 100, func(_ context.Context, items []int) { got = append(got, slices.Clone(items)) })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { q.Run(ctx) })
		synctest.Wait()
		q.AddHeld(1)
		synctest.Wait()
		if len(got) != 0 {
			t.Errorf("got %v before the next item", got)
		}
		q.Add(2)
		q.AddHeld(3)
		cancel() // what is held is still handed over
		wg.Wait()
		if all := slices.Concat(got...); len(got) == 0 || !slices.Equal(got[0][:2], []int{1, 2}) || !slices.Equal(all, []int{1, 2, 3}) {
			t.Errorf("got %v", got)
		}
	})
}
