package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// hasty returns options under which a roundtrip ends within 3 s. A busy machine may need
// longer, so what has to succeed is tried again.
func hasty(url string) postgres.Options {
	return postgres.Options{URL: url, AcquireTimeout: time.Second, StatementTimeout: time.Second}
}

// calls is every kind of call there is.
func calls(db *postgres.DB, c room.ID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error { _, _, err := db.Append(ctx, c, says("x", "")); return err },
		"Users":  func(ctx context.Context) error { _, err := db.Users(ctx, []room.UserID{1}); return err },
		"Conversation": func(ctx context.Context) error {
			_, err := db.Conversation(ctx, room.Room{Customer: 1, Therapist: 2}, 1)
			return err
		},
		"After":       func(ctx context.Context) error { _, _, err := db.After(ctx, c, 0, 10, mebibyte); return err },
		"Before":      func(ctx context.Context) error { _, _, err := db.Before(ctx, c, 0, 10, mebibyte); return err },
		"Tails":       func(ctx context.Context) error { _, err := db.Tails(ctx, time.Minute); return err },
		"Credentials": func(ctx context.Context) error { _, _, err := db.Credentials(ctx, "nobody@example.com"); return err },
		"ReplaceHash": func(ctx context.Context) error { return db.ReplaceHash(ctx, 1, "a", "b") },
		"CreateUser": func(ctx context.Context) error {
			_, err := db.CreateUser(ctx, room.User{Email: longText(20), Role: room.Customer}, "-")
			return err
		},
		"Probe": func(ctx context.Context) error { _, err := db.Probe(ctx); return err },
	}
}

// mustBeUnavailable makes every call, at once, and wants each to fail with one of the
// causes. How long a call takes says nothing on a busy machine; but none may hang.
func mustBeUnavailable(t *testing.T, db *postgres.DB, c room.ID, causes ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for name, call := range calls(db, c) {
		wg.Go(func() {
			start := time.Now()
			err := call(t.Context())
			took := time.Since(start)
			if !errors.Is(err, room.ErrUnavailable) || !slices.Contains(causes, postgres.Cause(err)) || took > world.Limit {
				t.Errorf("%s: %v after %v (cause %s)", name, err, took, postgres.Cause(err))
			}
			withoutSecret(t, err)
		})
	}
	wg.Wait()
}

// mustWork wants every call to work sooner or later.
func mustWork(t *testing.T, db *postgres.DB, c room.ID) {
	t.Helper()
	for name, call := range calls(db, c) {
		eventually(t, name, func() error {
			if err := call(t.Context()); !errors.Is(err, room.ErrNotFound) {
				return err
			}
			return nil
		})
	}
}

// heals waits for the first call that works again.
func heals(t *testing.T, db *postgres.DB) {
	t.Helper()
	eventually(t, "heal", func() error { _, err := db.Probe(t.Context()); return err })
}

func TestAPausedPostgresIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	target := server.URL("postgres")
	if err := world.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	c := conversation(t, open(t, postgres.Options{URL: target}), 1)
	db := open(t, hasty(target))
	mustWork(t, db, c)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	mustBeUnavailable(t, db, c, "stalled", "pool_timeout")
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	heals(t, db)
	mustWork(t, db, c)
}

func TestAKilledPostgresComesBack(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	target := server.URL("postgres")
	if err := world.Migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Options{URL: target}) // a dead server refuses at once
	c := conversation(t, db, 1)
	mustWork(t, db, c)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the pool may hold connections that do not know it yet
		_, _, _ = db.Before(t.Context(), c, 0, 1, mebibyte)
	}
	mustBeUnavailable(t, db, c, "refused", "connection_lost", "shutting_down")
	unborn := open(t, postgres.Options{URL: target}) // opened while the server is down
	mustBeUnavailable(t, unborn, c, "refused")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	heals(t, db)
	heals(t, unborn)
	mustWork(t, db, c)
	mustWork(t, unborn, c)
}

// proxied returns a DB behind a proxy, and the URL that goes past it.
func proxied(t *testing.T) (*postgres.DB, *netfault.Proxy, string) {
	t.Helper()
	target := database(t)
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := netfault.New(t, u.Host)
	return open(t, hasty(proxy.URL(target))), proxy, target
}

func TestAStalledNetworkIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	db, proxy, target := proxied(t)
	c := conversation(t, open(t, postgres.Options{URL: target}), 1)
	heals(t, db) // so that there is a connection to stall
	proxy.Stall()
	mustBeUnavailable(t, db, c, "stalled", "pool_timeout")
	proxy.Heal()
	heals(t, db)
	mustWork(t, db, c)
}

func TestACommitWhoseAnswerIsLostIsADuplicateLater(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"stalled", "cut"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			db, proxy, target := proxied(t)
			beside := open(t, postgres.Options{URL: target})
			var c room.ID
			var err error
			for n := 1; ; n++ { // until the request gets through in time
				c = conversation(t, beside, 2*n)
				send(t, beside, c, says("first", "1"))
				heals(t, db)
				proxy.StallDown() // requests are carried out, answers are not seen
				result := make(chan error, 1)
				go func() {
					_, _, err := db.Append(context.WithoutCancel(t.Context()), c, says("second", "2"))
					result <- err
				}()
				committed, failed := false, false
				for !committed && !failed {
					failed = len(result) > 0 // looked at before the messages: it may have been committed meanwhile
					committed = len(all(t, beside, c)) == 2
				}
				if fault == "cut" && committed {
					proxy.Cut()
				}
				err = <-result
				proxy.Heal()
				if committed {
					break
				}
			}
			if !errors.Is(err, room.ErrOutcomeUnknown) || !errors.Is(err, room.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			heals(t, db)
			m, duplicate := send(t, beside, c, says("second, again", "2"))
			if !duplicate || m.Seq != 2 || m.Text != "second" {
				t.Errorf("duplicate %v, %+v", duplicate, m)
			}
			if m, duplicate := send(t, beside, c, says("third", "3")); duplicate || m.Seq != 3 {
				t.Errorf("duplicate %v, %+v", duplicate, m)
			}
		})
	}
}
