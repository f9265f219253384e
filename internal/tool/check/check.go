// Package check is `roomspa check`: it tests whether a replica with given options
// could work, without starting one.
package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
)

// A Selection chooses what to check. The zero value means everything, including the
// rest of the configuration.
type Selection struct{ Database, Redis, Schema, Tokens bool }

// layerTimeout bounds the wait for the channel layer and for a message over it.
const layerTimeout = 3 * time.Second

// Run checks what a replica with these options needs. It returns the results, and
// whether all checks have passed. Options that the selection does not need may be
// missing. It changes nothing, except for a short-lived key that it writes to Redis.
func Run(ctx context.Context, o app.Options, s Selection) (results []ops.Result, ok bool) {
	everything := s == Selection{}
	var checks []ops.Check
	if everything {
		checks = append(checks, ops.Check{Name: "configuration", Run: func(context.Context) (string, error) {
			return "all options are valid", o.Validate()
		}})
	}
	if everything || s.Database || s.Schema {
		more, closeDB := databaseChecks(ctx, o, everything || s.Database, everything || s.Schema)
		defer closeDB()
		checks = append(checks, more...)
	}
	if everything || s.Redis {
		more, closeRedis := redisChecks(ctx, o, identity(ctx, o))
		defer closeRedis()
		checks = append(checks, more...)
	}
	if everything || s.Tokens {
		checks = append(checks, secretsCheck(o))
		if o.JWKS != "" {
			checks = append(checks, keySetCheck(o))
		}
	}
	if everything {
		checks = append(checks, replicasCheck(o))
	}
	return ops.NewMonitor(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), checks...).Check(ctx)
}

// failed is a check that fails with err.
func failed(name string, err error, advice string) ops.Check {
	return ops.Check{
		Name: name, Advise: func(error) string { return advice },
		Run: func(context.Context) (string, error) { return "", err },
	}
}

func databaseChecks(ctx context.Context, o app.Options, server, schema bool) (checks []ops.Check, closeDB func()) {
	const advice = "Set --database-url or ROOMSPA_DATABASE_URL, as in postgres://user:password@host:5432/name."
	db, err := postgres.Open(ctx, o.Postgres(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	add := func(name string, run func(context.Context, *postgres.DB) (string, error)) {
		if err != nil {
			checks = append(checks, failed(name, err, advice))
			return
		}
		checks = append(checks, ops.Check{Name: name, Address: db.Address(), Run: func(ctx context.Context) (string, error) {
			return run(ctx, db)
		}})
	}
	if server {
		add("database", func(ctx context.Context, db *postgres.DB) (string, error) { return db.CheckServer(ctx) })
	}
	if schema {
		add("schema", checkSchema)
	}
	if err != nil {
		return checks, func() {}
	}
	return checks, db.Close
}

// checkSchema checks the schema. It also returns the identity of the deployment as text: it is
// in the names of keys and channels, and replicas name each other by it.
func checkSchema(ctx context.Context, db *postgres.DB) (detail string, err error) {
	if detail, err = db.CheckSchema(ctx); err != nil {
		return detail, err
	}
	d, err := db.Deployment(ctx)
	if err != nil {
		return detail, err
	}
	return fmt.Sprintf("%s, deployment %s, timeline %d", detail, d.ID, d.Timeline), nil
}

// redisChecks checks Redis and, with a message to itself, the channel layer: an ACL or
// a proxy may allow the one and not the other.
func redisChecks(ctx context.Context, o app.Options, d event.Deployment) (checks []ops.Check, closeRedis func()) {
	const advice = "Set --redis-url or ROOMSPA_REDIS_URL, as in redis://:password@host:6379/0; in the modes sentinel and cluster also --redis-mode."
	o.Replica = "check"
	client, err := redis.Open(o.Redis(), nil)
	if err != nil {
		if o.RedisURL == "" {
			err = errors.New("the Redis URL is missing")
		}
		return []ops.Check{failed("redis", err, advice)}, func() {}
	}
	running, cancel := context.WithCancel(ctx)
	layer := channel.New(client, slog.New(slog.DiscardHandler), nil)
	layer.Use(d)
	var run sync.WaitGroup
	run.Go(func() { layer.Run(running) })
	closeRedis = func() {
		cancel()
		run.Wait()
		_ = client.Close() // the connections are gone in any case
	}
	return []ops.Check{
		{Name: "redis", Address: client.Address(), Run: func(ctx context.Context) (string, error) {
			if err := client.Ping(ctx); err != nil {
				return "", err
			}
			return strings.TrimSpace("Redis " + client.ServerVersion(ctx)), client.CheckWrite(ctx)
		}},
		{Name: "channel_layer", Address: client.Address(), Run: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, layerTimeout)
			defer cancel()
			return "a test message came back over the subscription", checkLayer(ctx, layer)
		}},
	}, closeRedis
}

// identity returns the identity of the deployment. Without the database it makes one up: the
// checks of Redis do not need the real one, unless an ACL allows no other.
func identity(ctx context.Context, o app.Options) event.Deployment {
	if db, err := postgres.Open(ctx, o.Postgres(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
		defer db.Close()
		if d, err := db.Deployment(ctx); err == nil {
			return d
		}
	}
	var id [8]byte
	var key event.Key
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, since Go 1.24)
	_, _ = rand.Read(key.Secret[:])
	return event.Deployment{ID: hex.EncodeToString(id[:]), Keys: []event.Key{key}}
}

// checkLayer waits until the layer is up, and then for a message of its own.
func checkLayer(ctx context.Context, layer *channel.Layer) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := layer.Health()
		if err == nil {
			return layer.Check(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// secretsCheck signs a token and verifies it.
func secretsCheck(o app.Options) ops.Check {
	return ops.Check{
		Name: "tokens",
		Advise: func(error) string {
			return "Set --jwt-secret (ROOMSPA_JWT_SECRET) or --jwt-secret-file (ROOMSPA_JWT_SECRET_FILE), or --jwt-keys-file: 32 bytes or more, the same on every replica and in every other program that signs tokens."
		},
		Run: func(context.Context) (string, error) {
			_, keys, err := o.Secrets(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return "", err
			}
			return keys.Check(o.AccessTokenTTL)
		},
	}
}

// keySetCheck loads the JWK Set once.
func keySetCheck(o app.Options) ops.Check {
	return ops.Check{
		Name: "key_set", Address: withoutSecrets(o.JWKS),
		Advise: func(error) string {
			return "Check --jwks (ROOMSPA_JWKS): it must be an https URL that returns a JWK Set, or a file that contains one."
		},
		Run: func(ctx context.Context) (string, error) {
			set, err := o.KeySet(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return "", err
			}
			n, err := set.Check(ctx)
			return fmt.Sprintf("keys that verify access tokens: %d", n), err
		},
	}
}

// withoutSecrets returns a URL or a path as it may be shown.
func withoutSecrets(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return "(unreadable)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
