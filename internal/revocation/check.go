package revocation

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

const (
	// maxUsers is about the number of users in one query. The query is shared with
	// handshakes, which 5,000 users delay by some 20 ms.
	maxUsers = 5000
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
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
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
		case <-poll.C:
			r.poll(ctx)
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

// check closes the sockets that were admitted by facts that no longer hold: all of them if
// named is nil, or else those that depend on a named user.
func (r *Revoker) check(ctx context.Context, named map[room.UserID]struct{}) error {
	foundBy := "notice"
	if named == nil {
		foundBy = "check"
	}
	var errs []error
	var batch []session.Grant
	ids := map[room.UserID]struct{}{}
	flush := func() {
		users, err := r.store.Users(ctx, slices.Collect(maps.Keys(ids)))
		if errs = append(errs, err); err == nil {
			r.end(batch, users, foundBy)
		}
		batch = batch[:0]
		clear(ids)
	}
	for _, g := range r.sockets.Grants() {
		if !concerns(g, named) {
			continue
		}
		if g.Role == "" {
			r.add(room.UserID(g.User)) // its handshake may have loaded what has changed since
		}
		batch = append(batch, g)
		ids[room.UserID(g.User)] = struct{}{}
		for _, id := range g.IDs {
			ids[room.UserID(id)] = struct{}{}
		}
		if len(ids) >= maxUsers {
			flush()
		}
	}
	if len(batch) > 0 {
		flush()
	}
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

// concerns reports whether the grant depends on a named user. A nil named is everybody.
func concerns(g session.Grant, named map[room.UserID]struct{}) bool {
	is := func(id int64) bool { _, found := named[room.UserID(id)]; return found }
	return named == nil || is(g.User) || slices.ContainsFunc(g.IDs, is)
}

// end closes the sockets that may not stay open, given the users of their grants.
func (r *Revoker) end(grants []session.Grant, users map[room.UserID]*room.User, foundBy string) {
	n := r.sockets.EndWhere(grants, func(g session.Grant) *frame.Close {
		return r.recheck(g, func(id room.UserID) *room.User { return users[id] })
	})
	if n > 0 {
		r.metrics.sockets.WithLabelValues(foundBy).Add(float64(n))
		logging.Component(r.log, slog.LevelInfo, component, "Closed sockets of users who signed out, were deactivated or changed their role",
			slog.Int("sockets", n), slog.String("found_by", foundBy))
	}
}
