package revocation

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// A desk is the world of one revoker: a channel layer and a store that can fail, users,
// and one socket for each of them.
type desk struct {
	mu        sync.Mutex
	down      error // of the layer
	away      error // of the store
	published []event.Revocation
	asked     []int // the number of users in each query
	users     map[room.UserID]*room.User
	open      map[int64]time.Time
	role      string            // of all sockets
	paths     map[int64][]int64 // the ids in the path of a user's socket
	ended     map[int64]string
	changed   []room.UserID // by SQL
	since     []string      // the marks of the polls
	forgotten []string      // the marks before which changes were deleted
}

func (d *desk) publish(body event.Body, done func(error)) {
	d.mu.Lock()
	err := d.down
	if e, ok := body.(event.Revocation); ok && err == nil {
		d.published = append(d.published, e)
	}
	d.mu.Unlock()
	done(err)
}

func (d *desk) Users(_ context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, len(ids))
	return maps.Clone(d.users), d.away
}

func (d *desk) ChangedUsers(_ context.Context, since string) (users []room.UserID, next string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = append(d.since, since)
	return d.changed, "next", d.away
}

func (d *desk) ForgetUserChanges(_ context.Context, mark string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgotten = append(d.forgotten, mark)
	return nil
}

func (d *desk) Grants() (grants []session.Grant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for user, issued := range d.open {
		grants = append(grants, session.Grant{User: user, IssuedAt: issued, Role: d.role, IDs: d.paths[user]})
	}
	return grants
}

func (d *desk) EndWhere(grants []session.Grant, why func(session.Grant) *frame.Close) (n int) {
	for _, g := range grants {
		if c := why(g); c != nil {
			d.set(func() {
				d.ended[g.User] = c.Reason
				delete(d.open, g.User)
			})
			n++
		}
	}
	return n
}

// recheck looks at the user's own row.
func recheck(g session.Grant, find func(room.UserID) *room.User) *frame.Close {
	if reason := find(room.UserID(g.User)).Refuses(g.IssuedAt); reason != "" {
		return &frame.Close{Code: frame.CodeIdentity, Reason: reason}
	}
	for _, id := range g.IDs {
		if find(room.UserID(id)) == nil {
			return &frame.Close{Code: frame.CodeForbidden, Reason: "no_such_therapist"}
		}
	}
	return nil
}

func (d *desk) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// wants fails the test unless exactly these have ended.
func (d *desk) wants(t *testing.T, want map[int64]string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !maps.Equal(d.ended, want) {
		t.Errorf("ended: %v, want %v", d.ended, want)
	}
}

// queries fails the test unless the queries since the last call asked about so many users.
func (d *desk) queries(t *testing.T, want ...int) {
	t.Helper()
	if got := d.takeQueries(); !slices.Equal(got, want) {
		t.Errorf("queries about %v users, want %v", got, want)
	}
}

func (d *desk) takeQueries() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.asked
	d.asked = nil
	return got
}

// events returns what was published since the last call.
func (d *desk) events() []event.Revocation {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.published
	d.published = nil
	return got
}

func (d *desk) revoker(log *slog.Logger) *Revoker {
	return newRevoker(d.publish, d, d, recheck, 0, log, prometheus.NewRegistry())
}

// inBubble runs a test over a revoker and users 1 to 3, who have a socket each with a
// token of a minute ago.
func inBubble(t *testing.T, test func(t *testing.T, d *desk, r *Revoker)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{users: map[room.UserID]*room.User{}, open: map[int64]time.Time{}, ended: map[int64]string{}, role: "customer"}
		for id := range int64(3) {
			d.users[room.UserID(id+1)] = &room.User{ID: room.UserID(id + 1), Active: true}
			d.open[id+1] = time.Now().Add(-time.Minute)
		}
		r := d.revoker(slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { r.Run(ctx) })
		synctest.Wait()
		test(t, d, r)
		cancel()
		run.Wait()
	})
}

// sleep is of the bubble's time.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's time
	synctest.Wait()
}

func TestTheStoreDecidesAboutUsersWhoAreNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() { d.users[1].TokensValidAfter = time.Now() })
		r.Check(1)
		synctest.Wait() // at once
		d.wants(t, map[int64]string{1: "token_revoked"})
		d.queries(t, 1)
		if got := d.events(); len(got) != 1 || !slices.Equal(got[0].Users, []room.UserID{1}) {
			t.Errorf("published %v", got)
		}
		r.receive(event.Revocation{Users: []room.UserID{2, 1, 99, -1}}) // 2 is still welcome
		sleep(checkInterval)
		d.queries(t, 1)
		r.receive(event.Revocation{Users: []room.UserID{98}}) // no socket, no query
		sleep(checkInterval)
		d.queries(t)
		d.set(func() { d.users[2].Active = false })
		sleep(checkInterval)
		d.wants(t, map[int64]string{1: "token_revoked"})
		r.receive(event.Revocation{Users: []room.UserID{2}})
		synctest.Wait()
		d.wants(t, map[int64]string{1: "token_revoked", 2: "user_inactive"})
	})
}

func TestEventsCauseAtMostTwoQueriesASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		for i := range 1000 {
			switch {
			case i == 500:
				r.addEverybody()
			default:
				r.receive(event.Revocation{Users: []room.UserID{room.UserID(1 + i%3)}})
			}
			sleep(10 * time.Millisecond)
		}
		if got := d.takeQueries(); len(got) < 18 || len(got) > 21 {
			t.Errorf("%d queries in 10 seconds", len(got))
		}
	})
}

func TestWhatIsRequestedIsDoneWithinASecond(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(*Revoker){
		"a user":         func(r *Revoker) { r.receive(event.Revocation{Users: []room.UserID{2}}) },
		"everybody":      func(r *Revoker) { r.receive(event.Revocation{}) },
		"what is missed": func(r *Revoker) { r.addEverybody() },
		"a crowd": func(r *Revoker) {
			e := event.Revocation{Users: make([]room.UserID, maxNamed+1)}
			for i := range e.Users {
				e.Users[i] = room.UserID(1000 + i)
			}
			e.Users[maxNamed] = 2
			r.receive(e)
			if len(r.users) != 0 {
				t.Errorf("it keeps %d users", len(r.users))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
				r.receive(event.Revocation{Users: []room.UserID{1}})
				synctest.Wait() // the next query must wait
				d.set(func() { d.users[2].Active = false })
				request(r)
				sleep(100 * time.Millisecond)
				r.receive(event.Revocation{Users: []room.UserID{3}})
				sleep(899 * time.Millisecond)
				d.wants(t, map[int64]string{2: "user_inactive"})
			})
		})
	}
}

func TestAFailedCheckIsRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() {
			d.users[1].TokensValidAfter = time.Now()
			d.users[2].Active = false
			delete(d.users, 3)
			d.away = errors.New("shutting down")
		})
		r.Check(1)
		sleep(time.Second)
		d.queries(t, 1, 1) // after 500 ms, then a second
		r.Check(2)
		sleep(time.Minute)
		if got := d.takeQueries(); len(got) < 7 || len(got) > 11 {
			t.Errorf("queries about %v users during a minute's outage", got)
		}
		d.set(func() { d.away = nil })
		sleep(maxBackoff)
		d.wants(t, map[int64]string{1: "token_revoked", 2: "user_inactive", 3: "user_unknown"}) // 3 by the periodic check
	})
}

func TestEverybodyIsCheckedPeriodically(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, _ *Revoker) {
		d.set(func() { d.users[1].Active = false })
		sleep(40 * time.Second)
		d.wants(t, map[int64]string{1: "user_inactive"})
		sleep(10 * time.Minute)
		if got := d.takeQueries(); len(got) < 13 || len(got) > 30 {
			t.Errorf("%d queries in 10 minutes", len(got))
		}
	})
}

func TestAnEventThatIsNotPublishedMakesTheOthersCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() {
			d.down = errors.New("connection refused")
			d.users[1].Active = false
		})
		r.Check(1)
		synctest.Wait() // this replica needs no Redis
		d.wants(t, map[int64]string{1: "user_inactive"})
		d.takeQueries()
		sleep(30 * time.Second)
		if got := d.takeQueries(); len(got) > 2 {
			t.Errorf("%d queries while it could not publish", len(got))
		}
		d.set(func() { d.down = nil })
		sleep(2 * resendInterval)
		if got := d.events(); len(got) != 1 || len(got[0].Users) != 0 {
			t.Errorf("published %v", got)
		}
		sleep(time.Minute)
		if got := d.events(); len(got) != 0 {
			t.Errorf("published again: %v", got)
		}
	})
}

func TestACommandNamesUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ users, want int }{{0, 0}, {2, 2}, {maxNamed, maxNamed}, {maxNamed + 1, 0}} {
		var got event.Body
		err := RequestCheck(make([]room.UserID, c.users), func(_ string, body event.Body) error {
			got = body
			return errors.ErrUnsupported
		})
		if e, ok := got.(event.Revocation); !errors.Is(err, errors.ErrUnsupported) || !ok || len(e.Users) != c.want {
			t.Errorf("%d users: %v, %v", c.users, got, err)
		}
	}
}

// A locked error is one of a store, with its word.
type locked struct{ error }

func (locked) Cause() string { return "postgres_locked" }

func TestAFailedCheckIsLogged(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	d := &desk{
		away: locked{errors.New("another holds the lock")}, open: map[int64]time.Time{1: time.Now()}, ended: map[int64]string{},
	}
	r := d.revoker(slog.New(slog.NewTextHandler(&lines, nil)))
	if err := r.check(t.Context(), nil); err == nil || !strings.Contains(lines.String(), " cause=postgres_locked ") {
		t.Errorf("%v: %s", err, &lines)
	}
}
