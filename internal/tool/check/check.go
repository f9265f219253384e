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
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/openfiles"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
)

// A Selection chooses what to check. The zero value means everything, including the
// rest of the configuration.
type Selection struct{ Database, Redis, Schema, Tokens bool }

// Limits of the whole: each check ends within probeTimeout, whatever it waits for, and the
// connections are closed within closeTimeout.
const (
	probeTimeout = 4 * time.Second
	closeTimeout = time.Second
)

// Run checks what a replica with these options needs. It returns the results, and
// whether all checks have passed. Options that the selection does not need may be
// missing. It returns within nine seconds. It leaves nothing behind but keys of Redis that expire
// after a second, and gaps in the numbers of messages and conversations.
func Run(ctx context.Context, o app.Options, s Selection) (results []ops.Result, ok bool) {
	everything := s == Selection{}
	var checks []ops.Check
	if everything {
		checks = append(checks, optionsCheck(o), openFilesCheck(o))
	}
	if everything || s.Database || s.Schema {
		more, closeDB := databaseChecks(ctx, o, everything || s.Database, everything || s.Schema)
		defer within(closeTimeout, closeDB)
		checks = append(checks, more...)
	}
	if everything || s.Redis {
		more, closeRedis := redisChecks(ctx, o, identity(ctx, o))
		defer within(closeTimeout, closeRedis)
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
	for i := range checks {
		checks[i].Run = bounded(checks[i].Run)
	}
	results, ok = ops.NewMonitor(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), checks...).Check(ctx)
	shorten(results)
	return results, ok
}

// bounded returns a check that ends within probeTimeout. What it waits for is left alone.
func bounded(run func(context.Context) (string, error)) func(context.Context) (string, error) {
	type outcome struct {
		detail string
		err    error
	}
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		done := make(chan outcome, 1)
		go func() {
			defer cancel()
			detail, err := run(ctx)
			done <- outcome{detail, err}
		}()
		select {
		case o := <-done:
			return o.detail, o.err
		case <-time.After(probeTimeout + probeTimeout/8): // it has had time to see that ctx has ended
			return "", fmt.Errorf("not tested: no answer within %v", probeTimeout)
		}
	}
}

// within calls f and waits for it, but not longer than a time.
func within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// shorten replaces the results of checks of a store that failed because it is away, since the
// first one of them says why.
func shorten(results []ops.Result) {
	first := map[[2]string]string{}
	for i, r := range results {
		key := [2]string{r.Address, r.Cause}
		switch name := first[key]; {
		case r.OK || r.Address == "" || r.Cause == "" || slices.Contains(ofSingleObjects, r.Cause):
		case name == "":
			first[key] = r.Name
		default:
			results[i].Error, results[i].Advice = "not tested: see "+name, ""
		}
	}
}

// ofSingleObjects are causes that concern one table, key or value: others may fail for them too.
var ofSingleObjects = []string{
	"postgres_permission_denied", "postgres_foreign_trigger", "postgres_row_security", "postgres_encoding", "postgres_other", "schema_damaged",
	"redis_permission_denied", "redis_subscribe_forbidden", "redis_other",
}

// optionsCheck checks the options by themselves.
func optionsCheck(o app.Options) ops.Check {
	return ops.Check{
		Name: "configuration",
		Run:  func(context.Context) (string, error) { return "all options are valid", o.Validate() },
		Warn: func(context.Context) error { return join(o.Warnings()) },
	}
}

// openFilesCheck compares the open-file limit with the sockets that the options allow.
func openFilesCheck(o app.Options) ops.Check {
	limit, want := openfiles.Limit(), o.HardLimit+o.DatabaseMaxConnections+filesBesideSockets
	return ops.Check{
		Name: "open_files",
		Run: func(context.Context) (string, error) {
			if limit == 0 {
				return "no limit is known", nil
			}
			return fmt.Sprintf("limit %d", limit), nil
		},
		Warn: func(context.Context) error {
			if limit > 0 && limit < want {
				return fmt.Errorf("this process may open %d files; a replica with --hard-limit %d needs %d. If roomspa serve runs with the same limit, raise it (ulimit -n, LimitNOFILE, the container runtime) or lower --soft-limit and --hard-limit; "+
					"else run check where serve runs", limit, o.HardLimit, want)
			}
			return nil
		},
	}
}

// filesBesideSockets is how many files a replica has open beside its sockets and its connections
// to Postgres.
const filesBesideSockets = 300

// join returns texts as one error, or nil.
func join(texts []string) error {
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// failed is a check that fails with err.
func failed(name string, err error, advice string) ops.Check {
	return ops.Check{
		Name: name, Advise: func(error) string { return advice },
		Run: func(context.Context) (string, error) { return "", err },
	}
}

// identity returns the identity of the deployment. Without the database it makes one up: the
// checks of Redis do not need the real one, unless an ACL allows no other.
func identity(ctx context.Context, o app.Options) event.Deployment {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout/2)
	defer cancel()
	options := o.Postgres()
	options.MaxConnections = 1
	if db, err := postgres.Open(ctx, options, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
		defer within(closeTimeout, db.Close)
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

// secretsCheck signs a token and verifies it.
func secretsCheck(o app.Options) ops.Check {
	var warnings []string
	return ops.Check{
		Name: "tokens",
		Advise: func(error) string {
			if len(warnings) > 0 {
				return "" // a warning says what to do
			}
			return "Set --jwt-secret (ROOMSPA_JWT_SECRET) or --jwt-secret-file (ROOMSPA_JWT_SECRET_FILE), or --jwt-keys-file: 32 bytes or more, the same on every replica and in every other program that signs tokens."
		},
		Run: func(context.Context) (string, error) {
			_, keys, err := o.Secrets(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return "", err
			}
			detail, found, err := keys.Check(o.AccessTokenTTL)
			warnings = found
			return detail, err
		},
		Warn: func(context.Context) error { return join(warnings) },
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
