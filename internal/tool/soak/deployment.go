package soak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

const database = "roomspa"

// A stage is what the clients chat through: both stores, the replicas, and the
// links between them.
type stage struct {
	dir      string
	command  []string
	postgres *sandbox.Postgres // nil where a test shares one, as Redis
	redis    *sandbox.Redis
	pgURL    string
	redisURL string
	prefix   string       // of everything in Redis
	remove   func() error // of the stores' data
	keys     *auth.Keys
	secret   string
	options  []string // of the replicas, as variables, beside those of environment
	replicas []*replica
	logs     []*os.File
}

// start starts everything. What it has started when it fails, stop ends.
func (s *stage) start(ctx context.Context, replicas, rooms int) error {
	data, remove, err := sandbox.Scratch()
	if err != nil {
		return err
	}
	s.remove = remove
	s.secret = newSecret()
	if s.keys, err = auth.NewKeys([]string{s.secret}); err != nil {
		return err
	}
	if err := s.stores(ctx, data); err != nil {
		return err
	}
	if err := populate(ctx, s.pgURL, rooms); err != nil {
		return err
	}
	for i := range replicas {
		r, err := s.replica(ctx, fmt.Sprintf("replica-%d", i+1), filepath.Join(data, fmt.Sprintf("replica-%d", i+1)))
		if r != nil {
			s.replicas = append(s.replicas, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stores starts Postgres and Redis side by side.
func (s *stage) stores(ctx context.Context, data string) error {
	log, err := s.log("postgres")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var pgErr, redisErr error
	wg.Go(func() {
		s.postgres, pgErr = sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
			Dir: filepath.Join(data, "pg"), Settings: sandbox.TestSettings(), QuickInit: true, Log: log,
		})
		if pgErr == nil {
			pgErr = s.postgres.EnsureDatabase(ctx, database)
		}
	})
	wg.Go(func() {
		s.redis, redisErr = sandbox.StartRedis(ctx, sandbox.RedisOptions{
			Dir: filepath.Join(data, "redis"), Settings: sandbox.RedisTestSettings(),
		})
	})
	wg.Wait()
	if err := errors.Join(pgErr, redisErr); err != nil {
		return err
	}
	s.pgURL, s.redisURL, s.prefix = s.postgres.URL(database), s.redis.URL(), "soak:"
	return nil
}

// log opens a file for what a process writes.
func (s *stage) log(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("keep a log: %w", err)
	}
	s.logs = append(s.logs, file)
	return file, nil
}

// The users of a room, counted from 0, and the one who may read them all.
func customerOf(n int) room.UserID  { return room.UserID(2*n + 1) }
func therapistOf(n int) room.UserID { return room.UserID(2*n + 2) }

const support room.UserID = 1_000_000

// populate migrates the database, and creates the users of so many rooms.
func populate(ctx context.Context, url string, rooms int) error {
	quiet := slog.New(slog.DiscardHandler)
	if _, err := postgres.Migrate(ctx, postgres.Options{URL: url}, quiet); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: url}, quiet, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer db.Close()
	create := func(id room.UserID, role room.Role) error {
		u := room.User{ID: id, Role: role, Active: true, Email: fmt.Sprintf("%s%d@example.com", role, id)}
		_, err := db.CreateUser(ctx, u, "!")
		return err
	}
	for n := range rooms {
		if err := errors.Join(create(customerOf(n), room.Customer), create(therapistOf(n), room.Therapist)); err != nil {
			return err
		}
	}
	return create(support, room.Support)
}

// complaints says what is wrong with the replicas beside what clients saw of
// them: one that died by itself, or that got over a panic.
func (s *stage) complaints() (list []string) {
	for _, r := range s.replicas {
		if r.program == nil {
			continue
		}
		if err := r.program.Err(); err != nil {
			list = append(list, "a replica died by itself: "+err.Error())
		}
		text, err := os.ReadFile(filepath.Join(s.dir, r.name+".log"))
		if err != nil {
			list = append(list, err.Error())
		}
		for _, word := range []string{"panic in ", "DATA RACE"} {
			if strings.Contains(string(text), word) {
				list = append(list, fmt.Sprintf("the log of %s says %q", r.name, word))
			}
		}
	}
	return list
}

// stop ends everything, the replicas first. Whatever stands still is let go.
func (s *stage) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	all := func(stops ...func(context.Context) error) {
		var wg sync.WaitGroup
		for _, stop := range stops {
			wg.Go(func() {
				err := stop(ctx)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		wg.Wait()
	}
	var stops []func(context.Context) error
	for _, r := range s.replicas {
		stops = append(stops, r.stop)
	}
	all(stops...)
	if s.redis != nil {
		all(s.redis.Stop)
	}
	if s.postgres != nil {
		all(s.postgres.Stop)
	}
	for _, file := range s.logs {
		errs = append(errs, file.Close())
	}
	if s.remove != nil {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// links are what a replica is reached by and what it reaches the stores by.
type links struct{ redis, postgres, front *netfault.Proxy }

// each calls f for every link that there is.
func (l *links) each(f func(*netfault.Proxy)) {
	for _, p := range []*netfault.Proxy{l.front, l.redis, l.postgres} {
		if p != nil {
			f(p)
		}
	}
}
