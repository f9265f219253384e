package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
)

// A Selection says what [Check] looks at. None chosen means everything, the rest of
// the configuration too.
type Selection struct{ Database, Redis, Schema, Tokens bool }

// checkLimit is how long a check waits for a dependency.
const checkLimit = 3 * time.Second

// Check finds out whether what a replica with these options needs is there, and
// returns what it has found, and whether all is well. Options that what is chosen
// does not need may be missing. It changes nothing, but for
// a short-lived key that tells whether Redis takes writes.
func Check(ctx context.Context, o Options, s Selection) (findings []ops.Finding, ok bool) {
	everything := s == Selection{}
	var checks []ops.Check
	if everything {
		checks = append(checks, ops.Check{Name: "configuration", Run: func(context.Context) (string, error) {
			return "every option can work", o.Validate()
		}})
	}
	if everything || s.Database || s.Schema {
		more, end := databaseChecks(ctx, o, everything || s.Database, everything || s.Schema)
		defer end()
		checks = append(checks, more...)
	}
	if everything || s.Redis {
		more, end := redisChecks(ctx, o)
		defer end()
		checks = append(checks, more...)
	}
	if everything || s.Tokens {
		checks = append(checks, tokenCheck(o))
		if o.JWKS != "" {
			checks = append(checks, keySetCheck(o))
		}
	}
	return ops.NewProbe(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), checks...).Run(ctx)
}

// cannot is a check of what cannot even be tried.
func cannot(name string, err error, advice string) ops.Check {
	return ops.Check{
		Name: name, Advise: func(error) string { return advice },
		Run: func(context.Context) (string, error) { return "", err },
	}
}

func databaseChecks(ctx context.Context, o Options, server, schema bool) (checks []ops.Check, end func()) {
	const advice = "Set --database-url or ROOMSPA_DATABASE_URL, as in postgres://user:password@host:5432/name."
	end = func() {}
	db, err := postgres.Open(ctx, o.postgres(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	add := func(name string, run func(context.Context) (string, error)) {
		if err != nil {
			checks = append(checks, cannot(name, err, advice))
			return
		}
		checks = append(checks, ops.Check{Name: name, Address: db.Address(), Run: run})
	}
	if err == nil {
		end = db.Close
	}
	if server {
		add("database", func(ctx context.Context) (string, error) {
			seen, err := db.ProbeServer(ctx)
			if seen.Server == "" {
				return "", err
			}
			return "PostgreSQL " + seen.Server, err
		})
	}
	if schema {
		add("schema", func(ctx context.Context) (string, error) {
			seen, err := db.Probe(ctx)
			if seen.Server == "" {
				return "", err
			}
			return fmt.Sprintf("version %d", seen.Schema), err
		})
	}
	return checks, end
}

// redisChecks asks Redis, and sends a message to itself over the channel layer: an
// ACL or a proxy may let the one through and not the other.
func redisChecks(ctx context.Context, o Options) (checks []ops.Check, end func()) {
	const advice = "Set --redis-url or ROOMSPA_REDIS_URL, as in redis://:password@host:6379/0; in the modes sentinel and cluster also --redis-mode."
	o.Replica = "check"
	client, err := redis.Open(o.redis(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		if o.RedisURL == "" {
			err = errors.New("the Redis URL is missing")
		}
		return []ops.Check{cannot("redis", err, advice)}, func() {}
	}
	running, cancel := context.WithCancel(ctx)
	var layer sync.WaitGroup
	layer.Go(func() { client.Layer.Run(running) })
	end = func() {
		cancel()
		layer.Wait()
		_ = client.Close() // whatever it says, the connections are gone
	}
	return []ops.Check{
		{Name: "redis", Address: client.Address(), Run: func(ctx context.Context) (string, error) {
			if err := client.Ping(ctx); err != nil {
				return "", err
			}
			return strings.TrimSpace("Redis " + client.Version(ctx)), client.Write(ctx)
		}},
		{Name: "channel_layer", Address: client.Address(), Run: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			return "an own message came back over the subscription", echo(ctx, client.Layer)
		}},
	}, end
}

// echo waits until the layer is up, and for a message of its own.
func echo(ctx context.Context, layer *redis.Layer) error {
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

// tokenCheck signs a token and verifies it.
func tokenCheck(o Options) ops.Check {
	return ops.Check{
		Name: "tokens",
		Advise: func(error) string {
			return "Set --jwt-secret (ROOMSPA_JWT_SECRET), or put into the file of --jwt-secret-file (ROOMSPA_JWT_SECRET_FILE), 32 bytes or more, the same on every replica and in whatever else signs tokens."
		},
		Run: func(context.Context) (string, error) {
			_, keys, err := o.secrets(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return "", err
			}
			token, _, err := keys.Mint(auth.Access, room.MaxID, time.Now(), o.AccessTokenTTL)
			if err != nil {
				return "", err
			}
			if _, err := keys.Verify(token, time.Now()); err != nil {
				return "", err
			}
			var ids []string
			for _, id := range keys.IDs() {
				if id == "" {
					id = "without a kid"
				}
				ids = append(ids, id)
			}
			return fmt.Sprintf("HS256 secrets: %d (%s); the first one signs", len(ids), strings.Join(ids, ", ")), nil
		},
	}
}

// keySetCheck looks at the key set once.
func keySetCheck(o Options) ops.Check {
	return ops.Check{
		Name: "key_set", Address: withoutSecrets(o.JWKS),
		Advise: func(error) string {
			return "Look at --jwks (ROOMSPA_JWKS): an https URL that answers with a JWK Set, or a file that holds one."
		},
		Run: func(ctx context.Context) (string, error) {
			set, err := o.jwks(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return "", err
			}
			n, err := set.Check(ctx)
			return fmt.Sprintf("keys that verify access tokens: %d", n), err
		},
	}
}

// withoutSecrets is a URL or a path as it may be shown.
func withoutSecrets(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return "(unreadable)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
