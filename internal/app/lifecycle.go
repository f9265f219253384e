package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// Start opens both listeners and starts all that runs. It returns when the
// replica accepts connections; whether it is ready, /readyz says.
func (a *App) Start() error {
	for _, s := range a.servers {
		if err := a.listen(s); err != nil {
			a.abandon()
			return err
		}
	}
	for i := range a.running {
		st := &a.running[i]
		ctx, cancel := context.WithCancel(context.Background())
		st.cancel = cancel
		for _, run := range st.run {
			st.wg.Go(func() { run(ctx) })
		}
	}
	for _, s := range a.servers {
		go func() { // ends with Shutdown
			if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
				a.say(slog.LevelError, "The "+s.name+" listener ended: "+err.Error())
			}
		}()
	}
	a.say(slog.LevelInfo, "Listening on "+a.Addr()+", ops on "+a.OpsAddr())
	return nil
}

// abandon gives back what New and a Start that failed have taken.
func (a *App) abandon() {
	for _, s := range a.servers {
		if s.ln != nil {
			_ = s.ln.Close()
		}
	}
	a.handlers()
	a.passwords.Close()
	_ = a.redis.Close()
	a.db.Close()
}

// Addr returns the address of the public listener.
func (a *App) Addr() string { return a.servers[0].ln.Addr().String() }

// OpsAddr returns the address of the ops listener.
func (a *App) OpsAddr() string { return a.servers[1].ln.Addr().String() }

// Stop ends the replica: unready at once, a wait until it is out of the endpoints
// (a replica cannot see when that is), every socket asked to leave and closed, the
// last commits and publishes flushed. When ctx ends it hurries: no wait, sockets
// are cut. It returns when nothing of the replica runs any more.
func (a *App) Stop(ctx context.Context) error {
	began := time.Now()
	a.sockets.StopAccepting()
	a.rebalance.Leave()
	a.say(slog.LevelInfo, fmt.Sprintf("Shutting down: unready now, sockets leave in %s", a.options.ShutdownWait))
	select {
	case <-time.After(a.options.ShutdownWait):
	case <-ctx.Done():
	}
	a.say(slog.LevelInfo, fmt.Sprintf("Draining %d sockets within %s", a.sockets.Len(), a.options.DrainTimeout))
	a.sockets.Drain(ctx, a.options.DrainTimeout)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.options.FlushTimeout)
	defer cancel()
	var errs []error
	for _, s := range a.servers {
		if err := s.http.Shutdown(flush); err != nil {
			errs = append(errs, fmt.Errorf("stop the %s listener: %w", s.name, err))
		}
	}
	for i := range a.running {
		if err := a.running[i].stop(flush); err != nil {
			errs = append(errs, err)
		}
	}
	a.handlers()
	a.passwords.Close()
	if err := a.redis.Close(); err != nil {
		errs = append(errs, err)
	}
	a.db.Close()
	a.say(slog.LevelInfo, "Stopped after "+time.Since(began).Round(time.Millisecond).String())
	return errors.Join(errs...)
}

// stop ends a stage's goroutines, which flush what they hold.
func (st *stage) stop(ctx context.Context) error {
	st.cancel()
	done := make(chan struct{})
	go func() {
		st.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: not everything could be flushed in time", st.name)
	}
}

func (a *App) say(level slog.Level, msg string) {
	logging.Component(a.log, level, "Replica", msg)
}
