// Package dev is `roomspa dev`: everything on one machine for trying it out. It
// starts a private, real Postgres and Redis, two replicas as processes of their
// own, and one address in front; what dies is said and started again.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// TokenTTL is how long the tokens that are printed are good for: a day of trying
// things out.
const TokenTTL = 24 * time.Hour

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
	database   = "roomspa"
)

// Options says what is started and where it is kept.
type Options struct {
	Dir      string // data, passwords and keys; made if it is missing
	Reset    bool   // begin anew
	Users    int    // of each role
	Replicas int
	Listen   string // the address in front; another port is taken where it is in use
	JSON     bool   // one object on Out instead of a text
	Command  string // the roomspa binary, which the replicas are run from
	Out, Err io.Writer
}

// An environment is what Run has started.
type environment struct {
	options  Options
	log      *slog.Logger
	postgres *sandbox.Postgres
	redis    *sandbox.Redis
	secret   string
	keys     *auth.Keys
	replicas []*replica
	front    *front
	watchers sync.WaitGroup
}

// Run starts everything, says what to do next, and keeps it running until ctx
// ends. Nothing of it is left running when it returns.
func Run(ctx context.Context, o Options) (err error) {
	e := &environment{options: o, log: logging.New(o.Err, logging.Options{Format: "text", Level: "info", Replica: "dev"})}
	defer func() { err = errors.Join(err, e.stop()) }()
	start, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, step := range []func(context.Context) error{e.directory, e.stores, e.users, e.startReplicas, e.startFront} {
		if err := step(start); err != nil {
			if ctx.Err() != nil {
				return nil // Ctrl-C while it was starting
			}
			return err
		}
	}
	if err := e.report(); err != nil {
		return err
	}
	watch, stop := context.WithCancel(ctx)
	defer e.watchers.Wait()
	defer stop()
	e.watch(watch)
	<-ctx.Done()
	return nil
}

// directory makes the directory, and the secret that signs the tokens of all
// starts.
func (e *environment) directory(context.Context) error {
	dir := e.options.Dir
	if e.options.Reset {
		if err := e.forget(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of roomspa dev: %w", err)
	}
	path := filepath.Join(dir, "jwt-secret")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(newSecret())
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the token secret: %w", err)
	}
	e.secret = string(text)
	e.keys, err = auth.NewKeys([]string{e.secret})
	if err != nil {
		return fmt.Errorf("read %s: %w; begin anew with --reset", path, err)
	}
	return nil
}

// forget removes what earlier starts left. It touches only what is ours.
func (e *environment) forget() error {
	var errs []error
	for _, name := range []string{"postgres", "redis", "jwt-secret"} {
		errs = append(errs, os.RemoveAll(filepath.Join(e.options.Dir, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("begin anew: %w", err)
	}
	return nil
}

// stores starts Postgres and Redis side by side, and migrates.
func (e *environment) stores(ctx context.Context) error {
	var wg sync.WaitGroup
	var pgErr, redisErr error
	wg.Go(func() {
		e.postgres, pgErr = sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
			Dir: filepath.Join(e.options.Dir, "postgres"), Settings: map[string]string{"max_connections": "200"},
		})
		if pgErr == nil {
			pgErr = e.postgres.EnsureDatabase(ctx, database)
		}
	})
	wg.Go(func() {
		e.redis, redisErr = sandbox.StartRedis(ctx, sandbox.RedisOptions{Dir: filepath.Join(e.options.Dir, "redis")})
	})
	wg.Wait()
	if err := errors.Join(pgErr, redisErr); err != nil {
		return err
	}
	if _, err := postgres.Migrate(ctx, postgres.Options{URL: e.postgres.URL(database)}, e.log); err != nil {
		return err
	}
	return nil
}

// Password is the one of every demo user.
const Password = "roomspa-demo"

// Demo returns the demo user of an id: odd ids are customers, even ids are
// therapists, so that /ws/chat/1/2/ is a room.
func Demo(id room.UserID) room.User {
	u := room.User{ID: id, Role: room.Customer, Active: true}
	if id%2 == 0 {
		u.Role = room.Therapist
	}
	u.Email = fmt.Sprintf("%s%d@example.com", u.Role, id)
	return u
}

// users makes the demo users that are not there yet. They share a hash: making
// one takes a tenth of a second on purpose.
func (e *environment) users(ctx context.Context) error {
	db, err := postgres.Open(ctx, postgres.Options{URL: e.postgres.URL(database)}, e.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer db.Close()
	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { db.Run(run) })

	ids := make([]room.UserID, 2*e.options.Users)
	for i := range ids {
		ids[i] = room.UserID(i + 1)
	}
	known, err := db.Users(ctx, ids)
	if err != nil || len(known) == len(ids) {
		return err
	}
	hash, err := auth.NewPasswords(1, 32).Hash(ctx, Password)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if known[id] == nil {
			if _, err := db.CreateUser(ctx, Demo(id), hash); err != nil {
				return fmt.Errorf("make demo user %d: %w", id, err)
			}
		}
	}
	return nil
}

// watch starts again what dies, until ctx ends.
func (e *environment) watch(ctx context.Context) {
	e.keep(ctx, "Postgres", e.postgres.Done, e.postgres.Err, e.postgres.Restart)
	e.keep(ctx, "Redis", e.redis.Done, e.redis.Err, e.redis.Restart)
	for _, r := range e.replicas {
		e.keep(ctx, "Replica "+r.name, r.Done, r.Err, r.start)
	}
	e.watchers.Go(func() { e.front.serve(ctx) })
}

// keep restarts one part whenever it ends, with a growing pause where it ends at
// once again.
func (e *environment) keep(ctx context.Context, name string, done func() <-chan struct{}, died func() error, restart func(context.Context) error) {
	const least, most = 200 * time.Millisecond, 5 * time.Second
	e.watchers.Go(func() {
		pause := least
		for began := time.Now(); ; began = time.Now() {
			select {
			case <-ctx.Done():
				return
			case <-done():
			}
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > time.Minute {
				pause = least
			}
			e.say("%s died (%v); starting it again", name, died())
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(pause):
				}
				pause = min(2*pause, most)
				err := restart(ctx)
				if err == nil {
					e.say("%s is back", name)
					break
				}
				if ctx.Err() == nil {
					e.say("%s did not start: %v", name, err)
				}
			}
		}
	})
}

func (e *environment) say(format string, args ...any) {
	logging.Component(e.log, slog.LevelWarn, "Dev", fmt.Sprintf(format, args...))
}

// stop ends all parts, those in front first.
func (e *environment) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var errs []error
	if e.front != nil {
		e.front.close()
	}
	var wg sync.WaitGroup
	for _, r := range e.replicas {
		wg.Go(func() { r.stop(ctx) })
	}
	wg.Wait()
	if e.redis != nil {
		errs = append(errs, e.redis.Stop(ctx))
	}
	if e.postgres != nil {
		errs = append(errs, e.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}
