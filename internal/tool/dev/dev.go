// Package dev implements `roomspa dev`, a complete deployment on one machine. It starts a
// private Postgres and Redis, several replicas, and a load balancer in front of them, and
// restarts whatever ends.
package dev

import (
	"context"
	"crypto/rand"
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

// TokenTTL is the lifetime of the printed tokens.
const TokenTTL = 24 * time.Hour

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
	database   = "roomspa"
)

// Options configures the deployment.
type Options struct {
	Dir      string // of the data, passwords and keys; created if it does not exist
	Reset    bool   // delete the data of earlier starts
	Users    int    // number of demo users of each role
	Replicas int
	Listen   string // address of the load balancer; if its port is in use, a free one is taken
	JSON     bool   // write the report to Out as one JSON object
	Classic  bool   // serve the predecessor's apps too, on tables like the predecessor's
	// LoadClassic makes tables like the predecessor's, with users that share the hash of a
	// password, and adopts them. It does nothing if they exist. Required with Classic.
	LoadClassic func(ctx context.Context, database postgres.Options, users []room.User, hash string) error

	Command  string // path of the roomspa binary that runs the replicas
	Out, Err io.Writer
}

// An environment is the state of one call of Run.
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

// Run starts everything, prints a report and keeps everything running until ctx ends. It
// leaves no process running.
func Run(ctx context.Context, o Options) (err error) {
	e := &environment{options: o, log: logging.New(o.Err, logging.Options{Format: "text", Level: "info", Replica: "dev"})}
	defer func() { err = errors.Join(err, e.stop()) }()
	start, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, step := range []func(context.Context) error{e.makeDir, e.startStores, e.createUsers, e.startReplicas, e.startFront} {
		if err := step(start); err != nil {
			if ctx.Err() != nil {
				return nil // interrupted during the start
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

// makeDir makes the directory and the secret that signs the tokens of all starts.
func (e *environment) makeDir(context.Context) error {
	dir := e.options.Dir
	if e.options.Reset {
		if err := e.reset(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	path := filepath.Join(dir, "jwt-secret")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(rand.Text() + rand.Text()) // 260 bits
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the token secret: %w", err)
	}
	e.secret = string(text)
	e.keys, err = auth.NewKeys([]string{e.secret})
	if err != nil {
		return fmt.Errorf("read the token secret %s: %w; start with --reset to replace it", path, err)
	}
	return nil
}

// reset deletes the data of earlier starts, and nothing else in the directory.
func (e *environment) reset() error {
	var errs []error
	for _, name := range []string{"postgres", "redis", "jwt-secret"} {
		errs = append(errs, os.RemoveAll(filepath.Join(e.options.Dir, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete the data of earlier starts: %w", err)
	}
	return nil
}

// startStores starts Postgres and Redis and migrates the schema.
func (e *environment) startStores(ctx context.Context) (err error) {
	e.postgres, e.redis, err = sandbox.StartStores(ctx,
		sandbox.PostgresOptions{Dir: filepath.Join(e.options.Dir, "postgres"), Settings: map[string]string{"max_connections": "200"}},
		sandbox.RedisOptions{Dir: filepath.Join(e.options.Dir, "redis")})
	if err != nil {
		return err
	}
	if err := e.postgres.EnsureDatabase(ctx, database); err != nil {
		return err
	}
	_, err = postgres.Migrate(ctx, postgres.Options{URL: e.postgres.URL(database)}, e.log)
	return err
}

// Password is the password of every demo user.
const Password = "roomspa-demo"

// Demo returns a demo user. Odd ids are customers and even ids therapists, so that
// /ws/chat/1/2/ is a room.
func Demo(id room.UserID) room.User {
	u := room.User{ID: id, Role: room.Customer, Active: true}
	if id%2 == 0 {
		u.Role = room.Therapist
	}
	u.Email = fmt.Sprintf("%s%d@example.com", u.Role, id)
	return u
}

// loadClassic makes tables like the predecessor's, with the demo users and one of support.
func (e *environment) loadClassic(ctx context.Context) error {
	var users []room.User
	for i := range 2 * e.options.Users {
		users = append(users, Demo(room.UserID(i+1)))
	}
	support := room.UserID(len(users) + 1)
	users = append(users, room.User{ID: support, Email: fmt.Sprintf("support%d@example.com", support), Role: room.Support})
	hash, err := auth.NewPasswords(1, 32).Hash(ctx, Password)
	if err != nil {
		return err
	}
	return e.options.LoadClassic(ctx, postgres.Options{URL: e.postgres.URL(database)}, users, hash)
}

// createUsers creates the demo users that do not exist yet. They share a password hash,
// which takes a tenth of a second to compute.
func (e *environment) createUsers(ctx context.Context) error {
	if e.options.Classic {
		return e.loadClassic(ctx)
	}
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
				return fmt.Errorf("create demo user %d: %w", id, err)
			}
		}
	}
	return nil
}

// watch serves connections and restarts what ends, until ctx ends.
func (e *environment) watch(ctx context.Context) {
	e.watchers.Go(func() { e.keepRunning(ctx, "postgres", e.postgres) })
	e.watchers.Go(func() { e.keepRunning(ctx, "redis", e.redis) })
	for _, r := range e.replicas {
		e.watchers.Go(func() { e.keepRunning(ctx, r.name, r) })
	}
	e.watchers.Go(func() { e.front.serve(ctx) })
}

// A process can be restarted when it has ended.
type process interface {
	Done() <-chan struct{}
	Err() error
	Restart(ctx context.Context) error
}

// keepRunning restarts a process whenever it ends, until ctx ends. The delay grows if the
// process ends soon after a restart.
func (e *environment) keepRunning(ctx context.Context, name string, p process) {
	const minDelay, maxDelay = 200 * time.Millisecond, 5 * time.Second
	delay := minDelay
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			delay = minDelay
		}
		e.warn("%v; restarting it", p.Err())
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(delay):
			}
			delay = min(2*delay, maxDelay)
			err := p.Restart(ctx)
			if err == nil {
				e.warn("%s runs again", name)
				break
			}
			if ctx.Err() == nil {
				e.warn("%s did not start: %v; retrying in %v", name, err, delay)
			}
		}
	}
}

func (e *environment) warn(format string, args ...any) {
	logging.Component(e.log, slog.LevelWarn, "Dev", fmt.Sprintf(format, args...))
}

// stop stops everything, beginning with the load balancer.
func (e *environment) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if e.front != nil {
		e.front.close()
	}
	errs := make([]error, len(e.replicas))
	var wg sync.WaitGroup
	for i, r := range e.replicas {
		wg.Go(func() { errs[i] = r.Stop(ctx) })
	}
	wg.Wait()
	if e.front != nil {
		e.front.wait()
	}
	if e.redis != nil {
		errs = append(errs, e.redis.Stop(ctx))
	}
	if e.postgres != nil {
		errs = append(errs, e.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}
