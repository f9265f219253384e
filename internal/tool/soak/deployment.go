package soak

import (
	"context"
	"crypto/rand"
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
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

const database = "roomspa"

// A deployment is the stores and the replicas of a run, with the links between them.
type deployment struct {
	dir      string
	command  []string
	postgres *sandbox.Postgres // nil if a test shares one; likewise redis
	redis    *sandbox.Redis
	pgURL    string
	redisURL string
	prefix   string       // of keys and channels in Redis
	remove   func() error // removes the stores' data
	keys     *auth.Keys
	secret   string
	options  []string // environment variables of the replicas, in addition to those of environment
	replicas []*replica
	js       *jsProgram // nil if no client is one of Node
	logs     []*os.File
	storeLog *os.File // of Postgres
}

func newSecret() string { return rand.Text() + rand.Text() }

// start starts everything. If it fails, stop stops what it has started.
func (d *deployment) start(ctx context.Context, replicas, rooms int) error {
	data, remove, err := sandbox.Scratch()
	if err != nil {
		return err
	}
	d.remove = remove
	d.secret = newSecret()
	if d.keys, err = auth.NewKeys([]string{d.secret}); err != nil {
		return err
	}
	if err := d.startStores(ctx, data); err != nil {
		return err
	}
	if err := populate(ctx, d.pgURL, rooms); err != nil {
		return err
	}
	for i := range replicas {
		name := fmt.Sprintf("replica-%d", i+1)
		r, err := d.startReplica(ctx, name, filepath.Join(data, name))
		d.replicas = append(d.replicas, r)
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *deployment) startStores(ctx context.Context, data string) error {
	var err error
	if d.storeLog, err = d.openLog("postgres"); err != nil {
		return err
	}
	d.postgres, d.redis, err = sandbox.StartStores(ctx,
		sandbox.PostgresOptions{Dir: filepath.Join(data, "pg"), Settings: sandbox.ReplicationSettings(), QuickInit: true, Log: d.storeLog},
		sandbox.RedisOptions{Dir: filepath.Join(data, "redis"), Settings: sandbox.RedisTestSettings()})
	if err != nil {
		return err
	}
	if err := d.postgres.EnsureDatabase(ctx, database); err != nil {
		return err
	}
	d.pgURL, d.redisURL, d.prefix = d.postgres.URL(database), d.redis.URL(), "soak:"
	return nil
}

// openLog opens a file for the output of a process.
func (d *deployment) openLog(name string) (*os.File, error) {
	file, err := os.Create(filepath.Join(d.dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("create a log file: %w", err)
	}
	d.logs = append(d.logs, file)
	return file, nil
}

// customerOf and therapistOf return the users of the room with an index.
func customerOf(n int) room.UserID  { return room.UserID(2*n + 1) }
func therapistOf(n int) room.UserID { return room.UserID(2*n + 2) }

// support is the user who may read all rooms.
const support room.UserID = 1_000_000

// populate migrates the database and creates the users of so many rooms.
func populate(ctx context.Context, url string, rooms int) error {
	log := slog.New(slog.DiscardHandler)
	if _, err := postgres.Migrate(ctx, postgres.Options{URL: url}, log); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: url}, log, prometheus.NewRegistry())
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

// failures returns failures of the replicas that clients cannot see: a replica that ended by
// itself, or a panic that it survived.
func (d *deployment) failures() (list []string) {
	for _, r := range d.replicas {
		if r.program == nil {
			continue
		}
		if err := r.program.Err(); err != nil {
			list = append(list, "a replica ended by itself: "+err.Error())
		}
		text, err := os.ReadFile(filepath.Join(d.dir, r.name+".log"))
		if err != nil {
			list = append(list, err.Error())
		}
		for _, word := range []string{"panic in ", "DATA RACE"} {
			if strings.Contains(string(text), word) {
				list = append(list, fmt.Sprintf("the log of %s contains %q", r.name, word))
			}
		}
	}
	return list
}

// stop stops everything, the replicas first.
func (d *deployment) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	errs := make([]error, len(d.replicas))
	var wg sync.WaitGroup
	for i, r := range d.replicas {
		wg.Go(func() { errs[i] = r.stop(ctx) })
	}
	wg.Wait()
	if d.redis != nil {
		errs = append(errs, d.redis.Stop(ctx))
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop(ctx))
	}
	for _, file := range d.logs {
		errs = append(errs, file.Close())
	}
	if d.remove != nil {
		errs = append(errs, d.remove())
	}
	return errors.Join(errs...)
}
