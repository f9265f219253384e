package world

import (
	"context"

	"github.com/roomspa/roomspa/internal/app"
)

// Run runs a replica in the background, and returns when it accepts connections. The
// caller must call stop, which shuts the replica down and returns the error of its Run.
// When the context of stop ends, the shutdown is cut short. Stop may be called twice.
func Run(ctx context.Context, a *app.App) (stop func(context.Context) error, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var runErr error
	ended := make(chan struct{})
	go func() {
		runErr = a.Run(ctx)
		close(ended)
	}()
	select {
	case <-a.Started():
	case <-ended:
		cancel()
		return nil, runErr
	}
	return func(ctx context.Context) error {
		cancel()
		defer context.AfterFunc(ctx, a.Hurry)()
		<-ended
		return runErr
	}, nil
}
