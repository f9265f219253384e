package revocation

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A desk is the world of one revoker: a channel layer that can fail, a store of users,
// and sockets by user.
type desk struct {
	mu        sync.Mutex
	down      error // of the layer
	away      error // of the store
	published [][]byte
	asked     int
	users     map[room.UserID]*room.User
	open      map[int64]time.Time
	ended     map[int64]string
	deliver   func([]byte)
	missed    func()
}

func (d *desk) Join(ctx context.Context, _ string, deliver func([]byte), missed func()) (func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliver, d.missed = deliver, missed
	return func() {}, ctx.Err()
}

func (d *desk) Heartbeat(context.Context, room.Heartbeat, time.Duration) ([]room.Heartbeat, error) {
	return nil, nil
}

func (d *desk) DeleteHeartbeat(context.Context, string) error { return nil }

func (d *desk) Publish(_ string, payload []byte, done func(error)) {
	d.mu.Lock()
	err := d.down
	if err == nil && strings.Contains(string(payload), `"kind":"revocation"`) {
		d.published = append(d.published, payload)
	}
	d.mu.Unlock()
	if done != nil {
		done(err)
	}
}

func (d *desk) RefusedTokens(_ context.Context, issued map[room.UserID]time.Time) (map[room.UserID]*room.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	refused := map[room.UserID]*room.User{}
	for id, at := range issued {
		if u := d.users[id]; u.Refuses(at) != "" {
			refused[id] = u
		}
	}
	return refused, d.away
}

func (d *desk) OldestTokens() map[int64]time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.open)
}

func (d *desk) EndWhere(why func(int64, time.Time) *frame.Close) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for user, issued := range d.open {
		if c := why(user, issued); c != nil {
			d.ended[user] = c.Reason
			delete(d.open, user)
			n++
		}
	}
	return n
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

// revoker returns one, and the fleet that it publishes through.
func (d *desk) revoker(log *slog.Logger) (*Revoker, *fleet.Fleet) {
	reg := prometheus.NewRegistry()
	f := fleet.New("a", func() []string { return []string{"key"} }, d, d, log, reg)
	return New(f, d, d, 0, log, reg), f
}

// inBubble runs a test over a revoker and users 1 to 3, who have a socket each that
// lives by a token of a minute ago.
func inBubble(t *testing.T, test func(t *testing.T, d *desk, r *Revoker)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{users: map[room.UserID]*room.User{}, open: map[int64]time.Time{}, ended: map[int64]string{}}
		for id := range int64(3) {
			d.users[room.UserID(id+1)] = &room.User{ID: room.UserID(id + 1), Active: true}
			d.open[id+1] = time.Now().Add(-time.Minute)
		}
		r, replicas := d.revoker(slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { replicas.Run(ctx) })
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

// looks returns how often the store was asked.
func (d *desk) looks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// told returns what was published.
func (d *desk) told() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.published
}

func TestANoticeEndsTheSocketsItIsAbout(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		r.SignedOut(1, time.Now())
		r.SignedOut(2, time.Now().Add(-time.Hour)) // its socket is younger
		synctest.Wait()
		d.wants(t, map[int64]string{1: "token_revoked"})
		r.Deactivated(3)
		synctest.Wait()
		d.wants(t, map[int64]string{1: "token_revoked", 3: "user_inactive"})
		if len(d.told()) != 3 || d.looks() != 0 {
			t.Errorf("published %q, asked %d times", d.told(), d.looks())
		}
		other := &desk{open: map[int64]time.Time{1: time.Now().Add(-time.Minute), 3: time.Now()}, ended: map[int64]string{}}
		there, replicas := other.revoker(slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { replicas.Run(ctx) })
		synctest.Wait()
		for _, p := range d.told() {
			other.deliver(p)
		}
		there.apply()
		cancel()
		run.Wait()
		other.wants(t, map[int64]string{1: "token_revoked", 3: "user_inactive"})
	})
}

func TestWhatWasMissedTheStoreKnows(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, _ *Revoker) {
		d.set(func() {
			d.users[1].TokensValidAfter = time.Now()
			d.users[2].Active = false
			delete(d.users, 3)
			d.away = errors.New("shutting down")
		})
		d.missed()
		sleep(recheckWithin)
		d.set(func() { d.away = nil })
		sleep(2 * recheckWithin)
		d.wants(t, map[int64]string{1: "token_revoked", 2: "user_inactive", 3: "user_unknown"})
	})
}

func TestItLooksFromTimeToTimeWhateverItHears(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, _ *Revoker) {
		d.set(func() { d.users[1].Active = false })
		sleep(40 * time.Second)
		d.wants(t, map[int64]string{1: "user_inactive"})
		sleep(10 * time.Minute)
		if d.looks() < 13 || d.looks() > 30 {
			t.Errorf("asked %d times in 10 minutes", d.looks())
		}
	})
}

func TestWhatCouldNotBeToldMakesTheOthersLook(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() { d.down = errors.New("connection refused") })
		r.SignedOut(1, time.Now())
		synctest.Wait()
		d.wants(t, map[int64]string{1: "token_revoked"})
		sleep(30 * time.Second)
		if d.looks() > 3 {
			t.Errorf("asked %d times while it could not tell", d.looks())
		}
		d.set(func() { d.down = nil })
		sleep(2 * time.Second)
		if len(d.told()) != 1 || !strings.Contains(string(d.told()[0]), `"type":"check"`) {
			t.Errorf("published %q", d.told())
		}
		before := d.looks()
		sleep(time.Minute)
		if len(d.told()) != 1 {
			t.Errorf("told again: %q", d.told())
		}
		if d.looks()-before > 4 {
			t.Errorf("asked %d times in a minute of peace", d.looks()-before)
		}
		d.deliver(d.told()[0])
		before = d.looks()
		sleep(recheckWithin)
		if d.looks() != before+1 {
			t.Errorf("told to look, it asked %d times", d.looks()-before)
		}
	})
}

// A locked error is one of a store, with its word.
type locked struct{ error }

func (locked) Cause() string { return "postgres_locked" }

func TestALookThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	d := &desk{
		away: locked{errors.New("another holds the lock")}, open: map[int64]time.Time{1: time.Now()}, ended: map[int64]string{},
	}
	r, _ := d.revoker(slog.New(slog.NewTextHandler(&lines, nil)))
	if err := r.check(t.Context()); err == nil || !strings.Contains(lines.String(), " cause=postgres_locked ") {
		t.Errorf("%v: %s", err, &lines)
	}
}

func TestNoticesOfANewerReplicaMakeItLook(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() { d.users[2].Active = false })
		for _, p := range []string{
			`{"v":2,"kind":"revocation","body":{"type":"signed_out","user":1,"valid_after":"2099-01-01T00:00:00Z"}}`,
			`{"v":1,"kind":"revocation","body":{"type":"erased","user":1}}`, `{"v":1,"kind":"revocation","body":{"type":"deactivated","user":0}}`,
			`{"v":1,"kind":"revocation","body":{"type":"signed_out","user":1}}`, `{"v":1,"kind":"revocation","body":{"type":"deactivated","user":9007199254740992}}`,
			`{"v":1,"kind":"revocation","body":[]}`, `{"v":1,"kind":"of a newer release","body":{}}`, "nonsense", "", "[]",
		} {
			d.deliver([]byte(p))
		}
		sleep(recheckWithin)
		d.wants(t, map[int64]string{2: "user_inactive"})
		if d.looks() != 1 {
			t.Errorf("asked %d times", d.looks())
		}
	})
}
