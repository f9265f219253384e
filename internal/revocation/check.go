package revocation

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxUsers is the number of users in one query. 20,000 take Postgres a tenth of a
	// second at most.
	maxUsers = 20_000
	// recheckWithin is the time in which a requested check has closed its sockets.
	recheckWithin = time.Second
	// recheckSpread spreads the queries of replicas, which often get the same request.
	recheckSpread = recheckWithin / 2
	// maxBackoff is the longest wait after a failed check.
	maxBackoff = 10 * time.Second
)

// checkPeriodically checks the store at each interval, and soon after a notice may
// have been lost. It also sends the request to check that Redis could not take
// before.
func (r *Revoker) checkPeriodically(ctx context.Context) {
	next := time.Now().Add(r.jittered())
	failures := 0
	for {
		wait := time.Until(next)
		if r.unsent.Load() {
			wait = min(wait, recheckWithin)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.recheck:
			timer.Stop()
			if at := time.Now().Add(recheckSpread/5 + rand.N(recheckSpread*4/5)); at.Before(next) {
				next = at
			}
			continue
		case <-timer.C:
		}
		if r.unsent.Swap(false) { // publish sets it again if it fails again
			r.publish(notice{Type: checkStore})
		}
		if time.Now().Before(next) {
			continue
		}
		if err := r.check(ctx); err != nil {
			next = time.Now().Add(min(recheckWithin<<min(failures, 10), maxBackoff))
			failures++
			continue
		}
		next, failures = time.Now().Add(r.jittered()), 0
	}
}

func (r *Revoker) jittered() time.Duration { return r.interval*3/4 + rand.N(r.interval/2) }

// check closes the sockets whose tokens the store refuses.
func (r *Revoker) check(ctx context.Context) error {
	var errs []error
	batch := map[room.UserID]time.Time{}
	flush := func() {
		if len(batch) == 0 {
			return
		}
		refused, err := r.store.RefusedTokens(ctx, batch)
		errs = append(errs, err)
		clear(batch)
		if len(refused) == 0 {
			return
		}
		r.logClosed(r.sockets.EndWhere(func(user int64, issued time.Time) *frame.Close {
			u, found := refused[room.UserID(user)]
			if !found {
				return nil
			}
			return closeFor(u, issued)
		}), "check")
	}
	for user, issued := range r.sockets.OldestTokens() {
		if batch[room.UserID(user)] = issued; len(batch) == maxUsers {
			flush()
		}
	}
	flush()
	err := errors.Join(errs...)
	switch {
	case err == nil:
		r.metrics.checks.WithLabelValues("done").Inc()
	case ctx.Err() == nil:
		r.metrics.checks.WithLabelValues("failed").Inc()
		logging.Component(r.log, slog.LevelWarn, component, "Revocation check failed, retrying: "+err.Error(),
			slog.String("cause", cause.Of(err)))
	}
	return err
}
