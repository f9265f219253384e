package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/unseen"
)

// databaseFlags tell where Postgres is, for commands that use it.
type databaseFlags struct {
	DatabaseURL    string `name:"database-url" required:"" placeholder:"URL" group:"Postgres" help:"Postgres connection URL, as in postgres://user:password@host:5432/name."`
	DatabasePooler string `name:"database-pooler" default:"none" enum:"none,pgbouncer" group:"Postgres" help:"Connection pooler in front of Postgres: none or pgbouncer (transaction mode)."`
	app.DatabaseTLS
}

func (f *databaseFlags) options() postgres.Options {
	return postgres.Options{URL: f.DatabaseURL, PgBouncer: f.DatabasePooler == "pgbouncer", TLS: certs.Files(f.DatabaseTLS)}
}

// open opens a database for calls that do not need its Run.
func (f *databaseFlags) open(ctx context.Context) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, f.options(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, &exitError{2, fmt.Errorf("--database-url: %w", err)}
	}
	return db, nil
}

// redisFlags tell where the Redis of the replicas is. A command works without them.
type redisFlags struct {
	RedisURL        string `name:"redis-url" placeholder:"URL" group:"Redis" help:"Redis URL of the replicas."`
	RedisMode       string `name:"redis-mode" default:"standalone" enum:"standalone,sentinel,cluster" group:"Redis" help:"Kind of Redis that redis-url points at: standalone, sentinel or cluster."`
	RedisMasterName string `name:"redis-master-name" placeholder:"NAME" group:"Redis" help:"Name of the monitored master. Required in mode sentinel."`
	RedisPrefix     string `name:"redis-prefix" default:"roomspa:" placeholder:"TEXT" group:"Redis" help:"Prefix of all Redis keys and channels, the same as that of the replicas."`
	app.RedisTLS
}

// opsFlags are for commands that ask ops listeners.
type opsFlags struct {
	OpsToken string `name:"ops-token" placeholder:"TOKEN" group:"Connection" help:"Token of the ops listeners (--ops-token of roomspa serve). Prefer ROOMSPA_OPS_TOKEN or ROOMSPA_OPS_TOKEN_FILE, which other users of this machine cannot see."`
}

// open opens the Redis of the deployment to which db belongs.
func (f *redisFlags) open(ctx context.Context, db *postgres.DB) (*redis.Client, error) {
	client, err := redis.Open(redis.Options{
		URL: f.RedisURL, Mode: f.RedisMode, MasterName: f.RedisMasterName, Prefix: f.RedisPrefix, TLS: certs.Files(f.RedisTLS),
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("--redis-url: %w", err)
	}
	d, err := db.Deployment(ctx)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	client.Use(d)
	return client, nil
}

// fromFiles returns a resolver that reads flag --x-y from the file that ROOMSPA_X_Y_FILE
// names, which is how Kubernetes and Docker pass secrets. A list may have one entry per
// line. It leaves out variables that are the variable of another flag.
func fromFiles(env func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		name := "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		path := env(name + "_FILE")
		if path == "" || slices.ContainsFunc(parent.Flags, func(f *kong.Flag) bool { return slices.Contains(f.Envs, name+"_FILE") }) {
			return nil, nil
		}
		if env(name) != "" {
			return nil, fmt.Errorf("both %s and %s_FILE are set: unset one", name, name)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s_FILE: %w", name, err)
		}
		value, err := unseen.File(text)
		if err != nil {
			return nil, fmt.Errorf("read %s_FILE: %w", name, err)
		}
		if flag.IsSlice() { // without empty lines
			value = strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == '\r' || r == '\n' }), ",")
		}
		return value, nil
	})
}

// secretFiles returns the files that secrets were read from, by the name of the flag.
func secretFiles(parsed *kong.Context, env func(string) string) map[string]string {
	files := map[string]string{}
	for _, p := range parsed.Path {
		if p.Flag == nil || !p.Resolved || p.Flag.Tag.Get("secret") == "" {
			continue
		}
		name := "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(p.Flag.Name, "-", "_")) + "_FILE"
		if path := env(name); path != "" && p.Flag.Name != "jwt-secret" { // which has an option for its file
			files[p.Flag.Name] = path
		}
	}
	return files
}

// relax makes flags optional for commands that share them with commands that require
// them: check reports itself what is missing, tokens need no database, and explain has --ops.
func relax(k *kong.Kong) error {
	var visit func(node *kong.Node, optional func(*kong.Flag) bool)
	visit = func(node *kong.Node, optional func(*kong.Flag) bool) {
		for _, flag := range node.Flags {
			flag.Required = flag.Required && !optional(flag)
		}
		for _, child := range node.Children {
			visit(child, optional)
		}
	}
	for _, command := range k.Model.Children {
		switch command.Name {
		case "check":
			visit(command, func(*kong.Flag) bool { return true })
		case "token", "explain":
			visit(command, func(f *kong.Flag) bool { return f.Name == "database-url" })
		}
	}
	return nil
}
