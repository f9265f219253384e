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
