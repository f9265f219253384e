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
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

// hasty are options under which a dead database is given up within 3 s.
func hasty(url string) postgres.Options {
	return postgres.Options{URL: url, AcquireTimeout: time.Second, StatementTimeout: time.Second}
}

// calls is every kind of call there is.
func calls(db *postgres.DB, c room.ID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error { _, _, err := db.Append(ctx, c, says("x", "")); return err },
		"Users":  func(ctx context.Context) error { _, err := db.Users(ctx, []room.UserID{1}); return err },
		"Conversation": func(ctx context.Context) error {
			_, err := db.Conversation(ctx, room.Room{Customer: 1, Therapist: 2})
			return err
		},
		"After":       func(ctx context.Context) error { _, err := db.After(ctx, c, 0, 10); return err },
		"Before":      func(ctx context.Context) error { _, _, err := db.Before(ctx, c, 0, 10); return err },
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

// mustBeUnavailable makes every call, at once, and wants each to end in time with
// one of the causes.
func mustBeUnavailable(t *testing.T, db *postgres.DB, c room.ID, causes ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for name, call := range calls(db, c) {
		wg.Go(func() {
			start := time.Now()
			err := call(t.Context())
			took := time.Since(start)
			if !errors.Is(err, room.ErrUnavailable) || !slices.Contains(causes, postgres.Cause(err)) || took > 4*time.Second {
				t.Errorf("%s: %v after %v (cause %s)", name, err, took, postgres.Cause(err))
			}
			withoutSecret(t, err)
		})
	}
	wg.Wait()
}

func mustWork(t *testing.T, db *postgres.DB, c room.ID) {
	t.Helper()
	for name, call := range calls(db, c) {
		if err := call(t.Context()); err != nil && !errors.Is(err, room.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// heals waits for the first call that works again.
func heals(t *testing.T, db *postgres.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := db.Probe(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not heal: %v", err)
		}
	}
}

func TestAPausedPostgresIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	server := sandboxtest.OwnPostgres(t)
	target := server.URL("postgres")
	if err := migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	db := open(t, hasty(target))
	c := conversation(t, db, 1)
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
	server := sandboxtest.OwnPostgres(t)
	target := server.URL("postgres")
	if err := migrate(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	db := open(t, hasty(target))
	c := conversation(t, db, 1)
	mustWork(t, db, c)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the pool may hold connections that do not know it yet
		_, _, _ = db.Before(t.Context(), c, 0, 1)
	}
	mustBeUnavailable(t, db, c, "refused", "connection_lost", "shutting_down")
	unborn := open(t, hasty(target)) // opened while the server is down
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
	db, proxy, _ := proxied(t)
	c := conversation(t, db, 1)
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
			c := conversation(t, db, 1)
			send(t, db, c, says("first", "1"))
			proxy.StallDown() // requests are carried out, answers are not seen
			result := make(chan error)
			go func() {
				_, _, err := db.Append(context.WithoutCancel(t.Context()), c, says("second", "2"))
				result <- err
			}()
			conn := direct(t, target)
			for n := 0; n < 2; {
				if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM roomspa.messages").Scan(&n); err != nil {
					t.Fatal(err)
				}
			}
			if fault == "cut" {
				proxy.Cut()
			}
			err := <-result
			if !errors.Is(err, room.ErrOutcomeUnknown) || !errors.Is(err, room.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			proxy.Heal()
			heals(t, db)
			m, duplicate := send(t, db, c, says("second, again", "2"))
			if !duplicate || m.Seq != 2 || m.Text != "second" {
				t.Errorf("duplicate %v, %+v", duplicate, m)
			}
			if m, duplicate := send(t, db, c, says("third", "3")); duplicate || m.Seq != 3 {
				t.Errorf("duplicate %v, %+v", duplicate, m)
			}
		})
	}
}
