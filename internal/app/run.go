package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

// DelegatePasswords makes child processes of a command verify passwords, so that
// sign-ins take neither memory nor processor time from sockets. The command must call
// [auth.ServePasswords] on its standard input and output. Call it before Run.
func (a *App) DelegatePasswords(command ...string) { a.passwords.UseProcesses(command, a.log) }

// Run runs the replica until ctx ends or a listener fails, and then stops it: it turns
// unready, waits until the replica has left the endpoints, asks every socket to leave,
// and flushes the last commits and publishes. [App.Hurry] shortens that.
//
// Run returns nil if ctx has ended and everything was flushed. It must be called once;
// New's resources are released when it returns, also if it could not listen.
func (a *App) Run(ctx context.Context) error {
	if a.ran.Swap(true) {
		return errors.New("run replica: it has been run before")
	}
	failed, err := a.start(ctx)
	if err != nil {
		return errors.Join(err, a.stop())
	}
	close(a.started)
	a.logf(slog.LevelInfo, "Listening on %s, ops on %s", a.Addr(), a.OpsAddr())
	select {
	case <-ctx.Done():
	case err = <-failed:
		a.logf(slog.LevelError, "Stopping: %v", err)
	}
	began := time.Now()
	a.drain()
	if stopErr := a.stop(); stopErr != nil {
		err = errors.Join(err, stopErr)
		a.logf(slog.LevelError, "Stopped after %s with errors: %v", time.Since(began).Round(time.Millisecond), stopErr)
		return err
	}
	a.logf(slog.LevelInfo, "Stopped after %s", time.Since(began).Round(time.Millisecond))
	return err
}

// Started returns a channel that is closed when both listeners accept connections.
// /readyz tells whether the replica is ready.
func (a *App) Started() <-chan struct{} { return a.started }

// Addr returns the address of the public listener. Call it after Started.
func (a *App) Addr() string { return a.public.Addr() }

// OpsAddr returns the address of the ops listener. Call it after Started.
func (a *App) OpsAddr() string { return a.ops.Addr() }

// Hurry cuts a shutdown short, one that is under way or a later one: the replica does
// not wait, and cuts its sockets. The last commits and publishes are still flushed.
func (a *App) Hurry() { a.cut() }

// start opens both listeners, then starts the tasks, then serves. The channel receives
// the error of a listener that fails.
func (a *App) start(ctx context.Context) (failed <-chan error, err error) {
	if err := a.public.Open(ctx); err != nil {
		return nil, err
	}
	if err := a.ops.Open(ctx); err != nil {
		return nil, errors.Join(err, a.public.Shutdown(ctx))
	}
	for _, group := range a.tasks {
		a.stack.run(context.WithoutCancel(ctx), group)
	}
	failures := make(chan error, 2)
	for _, s := range []*listen.Server{a.ops, a.public} {
		go func() { // ends with Shutdown
			if err := s.Serve(); err != nil {
				failures <- err
			}
		}()
		a.stack.push(s.Name()+" listener", s.Shutdown)
	}
	return failures, nil
}

// drain turns the replica unready and ends its sockets. It waits first, since a replica
// cannot see when it has left the endpoints.
func (a *App) drain() {
	a.sockets.StopAccepting()
	a.rebalance.Leave()
	a.logf(slog.LevelInfo, "Shutting down: unready now, draining sockets in %s", a.options.ShutdownWait)
	select {
	case <-time.After(a.options.ShutdownWait):
	case <-a.hurry.Done():
	}
	a.logf(slog.LevelInfo, "Draining %d sockets within %s", a.sockets.Len(), a.options.DrainTimeout)
	a.presence.Drain(session.MaxReconnectDelay(a.options.DrainTimeout))
	a.sockets.Drain(a.hurry, a.options.DrainTimeout)
}

// stop stops what New and start have begun, in reverse order, within the flush timeout.
func (a *App) stop() error {
	a.cut()
	ctx, cancel := context.WithTimeout(context.Background(), a.options.FlushTimeout)
	defer cancel()
	return a.stack.unwind(ctx)
}

func (a *App) logf(level slog.Level, format string, args ...any) {
	logging.Component(a.log, level, "Replica", fmt.Sprintf(format, args...))
}
