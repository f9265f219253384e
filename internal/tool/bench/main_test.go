package bench_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

const secret = "a secret of the benchmarks with 32 bytes or more"

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
	sandboxtest.Main(m)
}

// users is how many users every database of these tests has: customers and
// therapists in turn.
const users = 20_000

// populate migrates an empty database and creates the users.
func populate(ctx context.Context, databaseURL string) error {
	if _, err := postgres.Migrate(ctx, postgres.Options{URL: databaseURL}, slog.New(slog.DiscardHandler)); err != nil {
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

// options are those that `roomspa serve` would have, with limits that a load does
// not run into, and with more flags.
func options(databaseURL, redisURL, prefix string, more ...string) (o app.Options, err error) {
	parser, err := kong.New(&o, kong.Exit(func(int) {}))
	if err != nil {
		return o, err
	}
	_, err = parser.Parse(append([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + databaseURL, "--redis-url=" + redisURL,
		"--redis-prefix=" + prefix, "--jwt-secret=" + secret, "--shutdown-wait=0s", "--drain-timeout=10s",
		"--message-rate=1000000", "--message-burst=1000000", "--soft-limit=100000", "--hard-limit=100000",
		"--rebalance-rate=0", // what is measured moves only where a benchmark is about that
	}, more...))
	return o, err
}

// replicas starts so many that share their stores.
func replicas(tb testing.TB, n int, edit ...func(*app.Options)) []*app.App {
	tb.Helper()
	redisURL, prefix := sandboxtest.Redis(tb)
	databaseURL := sandboxtest.Database(tb, populate)
	all := make([]*app.App, n)
	for i := range all {
		o, err := options(databaseURL, redisURL, prefix)
		if err != nil {
			tb.Fatal(err)
		}
		o.Replica = fmt.Sprint("replica-", i)
		for _, e := range edit {
			e(&o)
		}
		a, err := app.New(o, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			tb.Fatal(err)
		}
		stop, err := world.Run(tb.Context(), a)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
			defer cancel()
			if err := stop(ctx); err != nil {
				tb.Errorf("stop a replica: %v", err)
			}
		})
		all[i] = a
	}
	for _, a := range all {
		ready(tb, "http://"+a.OpsAddr())
	}
	return all
}

func keys(tb testing.TB) *auth.Keys {
	tb.Helper()
	k, err := auth.NewKeys([]string{secret})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// load is a small one against these replicas.
func load(tb testing.TB, all []*app.App) bench.Options {
	tb.Helper()
	o := bench.Options{
		Kind: bench.Chat, Sockets: 20, Rooms: 10, For: time.Second, Drain: time.Minute, Size: 40, Dialers: 8,
		HandshakeTimeout: time.Minute, Keys: keys(tb), First: 1, Last: users,
	}
	for _, a := range all {
		o.URLs = append(o.URLs, "http://"+a.Addr())
		o.Ops = append(o.Ops, "http://"+a.OpsAddr())
	}
	return o
}
