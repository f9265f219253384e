package bench_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == passwordsRole {
		if err := auth.ServePasswords(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if role := os.Getenv(childRole); role != "" { // a process of a benchmark
		if err := child(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	world.Main(m)
}

// users is the number of users in each database: customers and therapists in turn.
const users = 60_000

// populate migrates an empty database and creates the users.
func populate(ctx context.Context, databaseURL string) error {
	if err := world.Migrate(ctx, databaseURL); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, `
		INSERT INTO roomspa.users (id, email, role, password)
		SELECT n, 'user' || n || '@example.com', CASE WHEN n % 2 = 1 THEN 'customer' ELSE 'therapist' END, '!'
		FROM generate_series(1, $1::bigint) n`, users)
	return err
}

// options returns the options of a replica in a process of its own, with limits that a load does not reach.
func options(databaseURL, redisURL, prefix string, more ...string) (o app.Options, err error) {
	parser, err := kong.New(&o, kong.Exit(func(int) {}))
	if err != nil {
		return o, err
	}
	_, err = parser.Parse(append([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + databaseURL, "--redis-url=" + redisURL,
		"--redis-prefix=" + prefix, "--jwt-secret=" + world.Secret, "--shutdown-wait=0s", "--drain-timeout=10s",
	}, more...))
	unlimited(&o)
	return o, err
}

// unlimited sets limits that a load does not reach, and turns off what moves sockets by itself.
func unlimited(o *app.Options) {
	world.NoRateLimit(o)
	o.SoftLimit, o.HardLimit, o.UserSockets, o.AddressShare = 100_000, 100_000, 0, 1
	o.RebalanceRate = 0
}

// replicas starts n replicas in this process that share their stores.
func replicas(tb testing.TB, n int, edit ...func(*app.Options)) []*world.Replica {
	tb.Helper()
	w := world.NewWith(tb, populate)
	quiet := func(o *app.Options) { o.LogLevel, o.DatabaseMaxConnections = "error", 16 }
	all := make([]*world.Replica, n)
	for i := range all {
		all[i] = w.Start(tb, fmt.Sprint("replica-", i), append([]func(*app.Options){unlimited, quiet}, edit...)...)
	}
	for _, r := range all {
		r.WaitReady(tb)
	}
	return all
}

func keys(tb testing.TB) *auth.Keys {
	tb.Helper()
	w := &world.World{}
	w.SetSecret(tb, world.Secret)
	return w.Keys
}

// load returns a small load on these replicas.
func load(tb testing.TB, all []*world.Replica) bench.Options {
	tb.Helper()
	o := bench.Options{
		Kind: bench.Chat, Sockets: 20, Rooms: 10, For: time.Second, Drain: world.Limit, Size: 40, Dialers: 8,
		HandshakeTimeout: world.Limit, Keys: keys(tb), First: 1, Last: users,
	}
	for _, r := range all {
		o.URLs = append(o.URLs, "http://"+r.Addr())
		o.Ops = append(o.Ops, r.Ops(""))
	}
	return o
}
