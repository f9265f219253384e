package world

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Secret signs the tokens of every World that has no other one.
const Secret = "a secret of the tests with 32 bytes or more"

// World is what replicas share: the stores, the users in them, and the secret of their tokens.
type World struct {
	DatabaseURL, RedisURL, RedisPrefix string

	Secret string
	Keys   *auth.Keys // of Secret

	// Postgres and Redis are set where the world has servers of its own.
	Postgres *sandbox.Postgres
	Redis    *sandbox.Redis
	// ToPostgres and ToRedis are set by BehindProxies.
	ToPostgres, ToRedis *netfault.Proxy

	// PasswordProgram is the roomspa binary that verifies passwords for replicas; empty: they do so in process.
	PasswordProgram string
}

// Need asks New for more than the shared servers.
type Need int

const (
	// OwnPostgres is a Postgres to break.
	OwnPostgres Need = 1 << iota
	// OwnRedis is a Redis to break.
	OwnRedis
	// EmptyDatabase has neither schema nor users.
	EmptyDatabase
)

// New returns a world with the users of Populate.
func New(t testing.TB, needs ...Need) *World {
	t.Helper()
	return NewWith(t, Populate, needs...)
}

// NewWith returns a world whose database prepare has filled. See Database for what prepare must keep to.
func NewWith(t testing.TB, prepare func(ctx context.Context, databaseURL string) error, needs ...Need) *World {
	t.Helper()
	var all Need
	for _, n := range needs {
		all |= n
	}
	if all&EmptyDatabase != 0 {
		prepare = nil
	}
	w := &World{}
	w.SetSecret(t, Secret)
	if all&OwnPostgres == 0 {
		w.DatabaseURL = Database(t, prepare)
	} else {
		w.Postgres = StartPostgres(t)
		w.DatabaseURL = w.Postgres.URL("postgres")
		if prepare != nil {
			if err := prepare(t.Context(), w.DatabaseURL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if all&OwnRedis == 0 {
		w.RedisURL, w.RedisPrefix = Redis(t)
	} else {
		w.Redis = StartRedis(t)
		w.RedisURL, w.RedisPrefix = w.Redis.URL(), "own:"
	}
	return w
}

// BehindProxies returns the same world for replicas that reach both stores through proxies, to cut, stall or delay.
func (w *World) BehindProxies(t testing.TB) *World {
	t.Helper()
	far := *w
	far.ToPostgres, far.ToRedis = netfault.New(t, Host(t, w.DatabaseURL)), netfault.New(t, Host(t, w.RedisURL))
	far.DatabaseURL, far.RedisURL = far.ToPostgres.URL(w.DatabaseURL), far.ToRedis.URL(w.RedisURL)
	return &far
}

// SetSecret changes the secret for tokens and replicas that are made from now on.
func (w *World) SetSecret(t testing.TB, secret string) {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	w.Secret, w.Keys = secret, keys
}

// Token mints an access token that outlives the test.
func (w *World) Token(t testing.TB, user room.UserID) string {
	t.Helper()
	return w.TokenFor(t, user, time.Hour)
}

// TokenFor mints an access token with a time to live.
func (w *World) TokenFor(t testing.TB, user room.UserID, ttl time.Duration) string {
	t.Helper()
	token, _, err := w.Keys.Mint(auth.Access, user, time.Now(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Exec runs SQL beside the replicas.
func (w *World) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	Exec(t, w.DatabaseURL, sql, args...)
}

// Exec runs SQL in any database.
func Exec(t testing.TB, databaseURL, sql string, args ...any) {
	t.Helper()
	if err := execute(t.Context(), databaseURL, sql, args...); err != nil {
		t.Fatal(err)
	}
}

// Query runs SQL beside the replicas and returns the first column of its first row.
func Query[T any](t testing.TB, w *World, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// SQL returns a connection to Postgres that the end of the test closes.
func (w *World) SQL(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// RedisClient returns a connection to Redis that the end of the test closes.
func (w *World) RedisClient(t testing.TB) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(w.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// OpenRedis opens the Redis of the world as a replica does, with the deployment that Postgres has now. The end of the test
// closes it.
func (w *World) OpenRedis(t testing.TB) *redis.Client {
	t.Helper()
	client, err := redis.Open(redis.Options{URL: w.RedisURL, Prefix: w.RedisPrefix}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	d, err := w.OpenPostgres(t).Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client.Use(d)
	return client
}

// Host returns host:port of a URL.
func Host(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
