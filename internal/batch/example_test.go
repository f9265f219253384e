package batch_test

import (
	"context"
	"fmt"

	"github.com/roomspa/roomspa/internal/batch"
)

// Items that arrive while a batch is being processed are the next batch. There is no timer.
func ExampleQueue() {
	started, release := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	q := batch.New(10, 100, func(_ context.Context, items []int) {
		fmt.Println(items)
		switch items[0] {
		case 1:
			close(started)
			<-release
		case 2:
			close(done)
		}
	})
	go q.Run(ctx)

	q.Add(1) // processed at once, alone
	<-started
	q.Add(2)
	q.Add(3)
	close(release)
	<-done
	stop()
	// Output:
	// [1]
	// [2 3]
}
