package revocation

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// lookMost is how many users one query asks for. 20,000 take Postgres a tenth of
	// a second at most.
	lookMost = 20_000
	// soon is the time within which a doubt is cleared up, the query and the closes
	// included.
	soon = time.Second
	// spread is the time over which the replicas, which often have a doubt at once, ask.
	spread = soon / 2
	// lookRetry is the longest wait after a look that failed.
	lookRetry = 10 * time.Second
)

// look asks the store for the users of the open sockets: every so often, and soon
// after something may have been missed. What could not be told to the others is
// told as soon as Redis takes it.
func (w *Watch) look(ctx context.Context) {
	next := time.Now().Add(w.jittered())
	failures := 0
	for {
		wait := time.Until(next)
		if w.owed.Load() {
			wait = min(wait, soon)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.doubts:
			timer.Stop()
			if at := time.Now().Add(spread/5 + rand.N(spread*4/5)); at.Before(next) {
				next = at
			}
			continue
		case <-timer.C:
		}
		if w.owed.Swap(false) { // if it fails again, it is owed again
			w.tell(notice{Version: version, Type: lookYourself})
		}
		if time.Now().Before(next) {
			continue
		}
		if err := w.check(ctx); err != nil {
			next = time.Now().Add(min(soon<<min(failures, 10), lookRetry))
			failures++
			continue
		}
		next, failures = time.Now().Add(w.jittered()), 0
	}
}

func (w *Watch) jittered() time.Duration { return w.every*3/4 + rand.N(w.every/2) }

// check ends the sockets of users for whom the store says that their tokens do not
// speak any more.
func (w *Watch) check(ctx context.Context) error {
	var errs []error
	ask := map[room.UserID]time.Time{}
	flush := func() {
		if len(ask) == 0 {
			return
		}
		refused, err := w.store.RefusedTokens(ctx, ask)
		errs = append(errs, err)
		clear(ask)
		if len(refused) == 0 {
			return
		}
		w.ended(w.sockets.EndTokens(func(user int64, issued time.Time) *frame.Close {
			u, concerned := refused[room.UserID(user)]
			if !concerned {
				return nil
			}
			return closeFor(u, issued)
		}), "look")
	}
	for user, issued := range w.sockets.Tokens() {
		if ask[room.UserID(user)] = issued; len(ask) == lookMost {
			flush()
		}
	}
	flush()
	err := errors.Join(errs...)
	switch {
	case err == nil:
		w.metrics.looks.WithLabelValues("done").Inc()
	case ctx.Err() == nil:
		w.metrics.looks.WithLabelValues("failed").Inc()
		logging.Component(w.log, slog.LevelWarn, component, "Cannot look for users who signed out: "+err.Error(),
			slog.String("cause", cause.Of(err)))
	}
	return err
}
