package revocation

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxUsers is the number of users in one query. 20,000 take Postgres a tenth of a
	// second at most.
	maxUsers = 20_000
	// checkInterval is the time between two checks. It and maxSpread together leave a tenth
	// of the second in which a requested check has closed its sockets.
	checkInterval = 500 * time.Millisecond
	// minSpread and maxSpread spread the checks of everybody, which replicas are often
	// requested to do at the same time.
	minSpread, maxSpread = 100 * time.Millisecond, 400 * time.Millisecond
	// resendInterval is the time between two attempts to publish what Redis did not take.
	resendInterval = time.Second
	// maxBackoff is the longest wait after a failed check.
	maxBackoff = 10 * time.Second
)

// add requests a check of users, or of everybody if there are too many.
func (r *Revoker) add(users ...room.UserID) {
	r.mu.Lock()
	for _, u := range users {
		if r.users[u] = struct{}{}; len(r.users) > maxNamed {
			clear(r.users)
			r.mu.Unlock()
			r.addEverybody()
			return
		}
	}
	r.mu.Unlock()
	r.signal()
}

// addEverybody requests a check of everybody.
func (r *Revoker) addEverybody() {
	at := time.Now().Add(minSpread + rand.N(maxSpread-minSpread))
	r.mu.Lock()
	if at.Before(r.everybody) {
		r.everybody = at
	}
	r.mu.Unlock()
	r.signal()
}

func (r *Revoker) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run checks until ctx ends.
func (r *Revoker) Run(ctx context.Context) {
	resend := time.NewTicker(resendInterval)
	defer resend.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	for failures := 0; ; {
		next.Reset(r.untilNext())
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-resend.C:
			if r.unsent.Swap(false) { // send sets it again if it fails again
				r.send(event.Revocation{})
			}
		case <-next.C:
			if r.checkNext(ctx, min(checkInterval<<failures, maxBackoff)) == nil {
				failures = 0
			} else {
				failures = min(failures+1, 10)
			}
		}
	}
}

// untilNext returns the time until the next check.
func (r *Revoker) untilNext() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.notBefore
	if len(r.users) == 0 && r.everybody.After(at) {
		at = r.everybody
	}
	return time.Until(at)
}

// checkNext checks everybody if it is time, or else the named users. If that fails, it
// keeps the request and allows the next check after backoff.
func (r *Revoker) checkNext(ctx context.Context, backoff time.Duration) error {
	now := time.Now()
	r.mu.Lock()
	named := r.users
	r.users, r.notBefore = map[room.UserID]struct{}{}, now.Add(checkInterval)
	if !now.Before(r.everybody) {
		named, r.everybody = nil, now.Add(r.jittered())
	}
	r.mu.Unlock()
	err := r.check(ctx, named)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notBefore = time.Now().Add(backoff)
	if named == nil {
		r.everybody = now
	}
	for u := range named {
		r.users[u] = struct{}{}
	}
	return err
}

func (r *Revoker) jittered() time.Duration { return r.interval*3/4 + rand.N(r.interval/2) }

// check closes the sockets of the named users, or of everybody if named is nil, whose
// tokens the store refuses.
func (r *Revoker) check(ctx context.Context, named map[room.UserID]struct{}) error {
	foundBy := "notice"
	if named == nil {
		foundBy = "check"
	}
	var errs []error
	batch := map[room.UserID]time.Time{}
	flush := func() {
		if len(batch) == 0 {
			return
		}
		refused, err := r.store.RefusedTokens(ctx, batch)
		errs = append(errs, err)
		clear(batch)
		r.end(refused, foundBy)
	}
	for id, issued := range r.sockets.OldestTokens() {
		user := room.UserID(id)
		if _, found := named[user]; named != nil && !found {
			continue
		}
		if batch[user] = issued; len(batch) == maxUsers {
			flush()
		}
	}
	flush()
	err := errors.Join(errs...)
	switch {
	case len(errs) == 0: // no query was needed
	case err == nil:
		r.metrics.checks.WithLabelValues("done").Inc()
	case ctx.Err() == nil:
		r.metrics.checks.WithLabelValues("failed").Inc()
		logging.Component(r.log, slog.LevelWarn, component, "Revocation check failed, retrying: "+err.Error(),
			slog.String("cause", cause.Of(err)))
	}
	return err
}

// end closes the sockets whose tokens the store has refused.
func (r *Revoker) end(refused map[room.UserID]*room.User, foundBy string) {
	if len(refused) == 0 {
		return
	}
	n := r.sockets.EndWhere(func(user int64, issued time.Time) *frame.Close {
		u, found := refused[room.UserID(user)]
		if !found {
			return nil
		}
		reason := u.Refuses(issued)
		if reason == "" {
			return nil
		}
		return &frame.Close{Code: frame.CodeIdentity, Reason: reason}
	})
	if n > 0 {
		r.metrics.sockets.WithLabelValues(foundBy).Add(float64(n))
		logging.Component(r.log, slog.LevelInfo, component, "Closed sockets of users who signed out or were deactivated",
			slog.Int("sockets", n), slog.String("found_by", foundBy))
	}
}
