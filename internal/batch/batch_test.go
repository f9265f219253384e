package batch_test

import (
	"context"
	"slices"
	"sync"
	"testing"

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

func TestASecondBatchGoesBesideASmallOne(t *testing.T) {
	t.Parallel()
	started, release := make(chan int, 8), make(chan struct{})
	q := batch.New(100, 100, func(_ context.Context, items []int) {
		started <- len(items)
		<-release
	})
	q.Beside(2)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { q.Run(ctx) })
	add := func(n int) {
		for i := range n {
			q.Add(i)
		}
	}
	add(1)
	if n := <-started; n != 1 {
		t.Fatalf("the first batch has %d items", n)
	}
	add(1)
	if n := <-started; n != 1 {
		t.Fatalf("the batch beside it has %d items", n)
	}
	add(5) // wait: two are under way
	if q.Len() != 5 {
		t.Fatalf("%d wait", q.Len())
	}
	release <- struct{}{}
	if n := <-started; n != 5 {
		t.Fatalf("the third batch has %d items", n)
	}
	release <- struct{}{} // one of the two; what waits now waits for the other
	add(1)
	cancel()
	close(release)
	run.Wait()
	if n := <-started; n != 1 {
		t.Fatalf("the last batch has %d items", n)
	}
	if q.Add(7) {
		t.Fatal("a stopped queue took an item")
	}
}
