package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
	testworld "github.com/roomspa/roomspa/internal/testkit/world"
)

const secret = "a secret of the tests with 32 bytes or more"

// The users there are in every database of these tests.
const (
	customer  room.UserID = 1
	therapist room.UserID = 2
	stranger  room.UserID = 3 // another customer
	healer    room.UserID = 4 // another therapist
	inactive  room.UserID = 5 // a customer
	support   room.UserID = 6
	revoked   room.UserID = 7 // a customer who signed out everywhere, a day ahead of now
	nobody    room.UserID = 99
)

// A world is what replicas share: the stores, the users in them, and the keys.
type world struct {
	databaseURL, redisURL, prefix string
	keys                          *auth.Keys
	program                       string // works on passwords, where there is one
}

// newWorld has a database and a prefix of its own on the shared servers.
func newWorld(t testing.TB) *world {
	t.Helper()
	redisURL, prefix := sandboxtest.Redis(t)
	return &world{databaseURL: sandboxtest.Database(t, populate), redisURL: redisURL, prefix: prefix, keys: keys(t)}
}

// ownRedis is a world with a Redis to break.
func ownRedis(t testing.TB) (*world, *sandbox.Redis) {
	t.Helper()
	server := sandboxtest.OwnRedis(t)
	return &world{databaseURL: sandboxtest.Database(t, populate), redisURL: server.URL(), prefix: "own:", keys: keys(t)}, server
}

// ownPostgres is a world with a Postgres to break.
func ownPostgres(t testing.TB) (*world, *sandbox.Postgres) {
	t.Helper()
	server := sandboxtest.OwnPostgres(t)
	if err := populate(t.Context(), server.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	redisURL, prefix := sandboxtest.Redis(t)
	return &world{databaseURL: server.URL("postgres"), redisURL: redisURL, prefix: prefix, keys: keys(t)}, server
}

func keys(t testing.TB) *auth.Keys {
	t.Helper()
	k, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func migrate(ctx context.Context, databaseURL string) error {
	_, err := postgres.Migrate(ctx, postgres.Options{URL: databaseURL}, slog.New(slog.DiscardHandler))
	return err
}

// populate migrates an empty database and creates the users.
func populate(ctx context.Context, databaseURL string) error {
	if err := migrate(ctx, databaseURL); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: databaseURL, AcquireTimeout: patience}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer db.Close()
	for id, role := range map[room.UserID]room.Role{
		customer: room.Customer, therapist: room.Therapist, stranger: room.Customer, healer: room.Therapist,
		inactive: room.Customer, support: room.Support, revoked: room.Customer,
	} {
		u := room.User{ID: id, Email: fmt.Sprintf("user%d@example.com", id), Role: role, Active: id != inactive}
		if _, err := db.CreateUser(ctx, u, "!"); err != nil {
			return err
		}
	}
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(ctx, "UPDATE roomspa.users SET tokens_valid_after = now() + interval '1 day' WHERE id = $1", revoked)
	return err
}

// query runs SQL beside the replicas and returns the first column of its first row.
func query[T any](t testing.TB, w *world, sql string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func execute(t testing.TB, databaseURL, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// redis opens the Redis of the world.
func (w *world) redis(t testing.TB) *redis.Client {
	t.Helper()
	client, err := redis.Open(redis.Options{URL: w.redisURL, Prefix: w.prefix}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// token mints an access token that lives longer than any test.
func (w *world) token(t testing.TB, user room.UserID) string {
	t.Helper()
	return w.tokenFor(t, user, time.Hour)
}

func (w *world) tokenFor(t testing.TB, user room.UserID, ttl time.Duration) string {
	t.Helper()
	token, _, err := w.keys.Mint(auth.Access, user, time.Now(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A replica is what is under test, and what it has logged: an App in this process,
// or a process of its own.
type replica struct {
	serving

	world *world
	text  *journal
	json  *journal
	stop  func(context.Context) error
}

type serving interface {
	Addr() string
	OpsAddr() string
}

// options are those that `roomspa serve` would have, from the same struct tags.
func (w *world) options(t testing.TB, edit ...func(*app.Options)) app.Options {
	t.Helper()
	var o app.Options
	parser, err := kong.New(&o, kong.Exit(func(int) { t.Fatal("kong wants to exit") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + w.databaseURL, "--redis-url=" + w.redisURL,
		"--redis-prefix=" + w.prefix, "--jwt-secret=" + secret, "--shutdown-wait=0s", "--drain-timeout=3s",
		"--database-acquire-timeout=10s", "--database-lock-timeout=10s", "--database-max-connections=7", // the machine may be busy
	}); err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(&o)
	}
	return o
}

// prompt gives Postgres the time that it has by default, for tests of what happens after it.
func prompt(o *app.Options) {
	o.DatabaseAcquireTimeout, o.DatabaseLockTimeout = 2*time.Second, time.Second
}

// start starts a replica that is stopped at the end of the test.
func (w *world) start(t testing.TB, name string, edit ...func(*app.Options)) *replica {
	t.Helper()
	o := w.options(t, edit...)
	o.Replica = name
	r := &replica{world: w, text: &journal{tee: t.Output()}, json: &journal{}}
	log := slog.New(slog.NewMultiHandler(
		logging.New(r.text, logging.Options{Format: "text", Level: o.LogLevel, Replica: name}).Handler(),
		logging.New(r.json, logging.Options{Format: "json", Level: o.LogLevel, Replica: name}).Handler(),
	))
	a, err := app.New(o, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	if w.program != "" {
		a.DelegatePasswords(w.program, "hash-passwords")
	}
	stop, err := testworld.Run(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	r.serving = a
	var once sync.Once
	r.stop = func(ctx context.Context) (err error) {
		once.Do(func() { err = stop(ctx) })
		return err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := r.stop(ctx); err != nil {
			t.Errorf("stop replica %s: %v", name, err)
		}
	})
	return r
}

// ready starts a replica and waits until it is ready.
func (w *world) ready(t testing.TB, name string, edit ...func(*app.Options)) *replica {
	t.Helper()
	r := w.start(t, name, edit...)
	r.becomesReady(t)
	return r
}

// pair is two replicas of one world.
func (w *world) pair(t testing.TB, edit ...func(*app.Options)) (a, b *replica) {
	t.Helper()
	a, b = w.start(t, "a", edit...), w.start(t, "b", edit...)
	a.becomesReady(t)
	b.becomesReady(t)
	return a, b
}

func (r *replica) becomesReady(t testing.TB) {
	t.Helper()
	eventually(t, patience, "the replica is ready", func() (bool, any) {
		status, answer := r.readyz(t)
		return status == http.StatusOK && answer.Ready, answer
	})
}

// becomesUnready waits until /readyz is 503 for a check's sake and says so with
// one of the words, in any case, and returns all that it says.
func (r *replica) becomesUnready(t testing.TB, limit time.Duration, check string, words ...string) (why string) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%s makes the replica unready with one of %q", check, words), func() (bool, any) {
		status, answer := r.readyz(t)
		f := finding(answer, check)
		why = f.Error
		told := len(words) == 0 && why != ""
		for _, w := range words {
			told = told || containsFold(why, w)
		}
		return status == http.StatusServiceUnavailable && !answer.Ready && !f.OK && f.Since != nil && told && f.Cause != "" && f.Advice != "", answer
	})
	return why
}

func finding(answer ops.Readiness, check string) ops.Result {
	for _, f := range answer.Checks {
		if f.Name == check {
			return f
		}
	}
	return ops.Result{}
}

func (r *replica) readyz(t testing.TB) (int, ops.Readiness) {
	t.Helper()
	status, _, body := get(t, "http://"+r.OpsAddr()+"/readyz")
	var answer ops.Readiness
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("/readyz: %v: %s", err, body)
	}
	return status, answer
}

// metric returns the value of a line of /metrics, 0 where it is not there.
func (r *replica) metric(t testing.TB, line string) float64 {
	t.Helper()
	_, _, body := get(t, "http://"+r.OpsAddr()+"/metrics")
	for l := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(l, line+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// plain never reuses a connection, so that none is left at the end, and follows no redirect.
var plain = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func get(t testing.TB, address string) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, body
}

// A journal holds what was logged.
type journal struct {
	tee io.Writer

	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tee != nil {
		_, _ = j.tee.Write(p) // the test's output
	}
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// about returns the lines of one connection.
func (j *journal) about(ref string) string {
	var b strings.Builder
	for l := range strings.Lines(j.String()) {
		if strings.Contains(l, ref) {
			b.WriteString(l)
		}
	}
	return b.String()
}

// busy allows for a machine that has much else to do: other packages' tests, a
// compiler. What is told apart here lies further from each other than that.
func busy(d time.Duration) time.Duration { return d + 4*time.Second }

// eventually asks again and again until the answer is yes.
func eventually(t testing.TB, limit time.Duration, what string, ask func() (yes bool, seen any)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, seen := ask()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last seen: %+v", what, limit, seen)
		}
		<-tick.C
	}
}
