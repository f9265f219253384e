package diagnose_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
	testworld "github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

const (
	secret   = "a secret of the tests with 32 bytes or more"
	password = "a password of the tests"
	// patience is how long a test waits for what should come at once.
	patience = time.Minute
)

// The users there are: odd ids are customers, even ids therapists.
const (
	customer room.UserID = 1
	inactive room.UserID = 5
	revoked  room.UserID = 7
	nobody   room.UserID = 99
)

// A world is what replicas share: the stores and the secret.
type world struct {
	databaseURL, redisURL, prefix, secret string
	stops                                 map[*app.App]func(context.Context) error // of the replicas it has started
}

// newWorld has a database and a prefix of its own on the shared servers.
func newWorld(t testing.TB) *world {
	t.Helper()
	redisURL, prefix := sandboxtest.Redis(t)
	return &world{databaseURL: sandboxtest.Database(t, populate), redisURL: redisURL, prefix: prefix, secret: secret}
}

func populate(ctx context.Context, databaseURL string) error {
	log := slog.New(slog.DiscardHandler)
	o := postgres.Options{URL: databaseURL, AcquireTimeout: patience}
	if _, err := postgres.Migrate(ctx, o, log); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, o, log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer db.Close()
	hash, err := auth.NewPasswords(1).Hash(ctx, password)
	if err != nil {
		return err
	}
	for id := customer; id <= revoked; id++ {
		role := room.Customer
		if id%2 == 0 {
			role = room.Therapist
		}
		u := room.User{ID: id, Email: fmt.Sprintf("user%d@example.com", id), Role: role, Active: id != inactive}
		if _, err := db.CreateUser(ctx, u, hash); err != nil {
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

// execute runs SQL beside the replicas.
func execute(t testing.TB, databaseURL, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// start starts a replica that is stopped at the end of the test.
func (w *world) start(t testing.TB, name string, edit ...func(*app.Options)) *app.App {
	t.Helper()
	var o app.Options
	parser, err := kong.New(&o, kong.Exit(func(int) { t.Fatal("kong wants to exit") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + w.databaseURL, "--redis-url=" + w.redisURL,
		"--redis-prefix=" + w.prefix, "--jwt-secret=" + w.secret, "--shutdown-wait=0s", "--drain-timeout=1s", "--replica=" + name,
	}); err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(&o)
	}
	a, err := app.New(o, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop, err := testworld.Run(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_ = stop(ctx) // with a store that was broken it cannot flush
	})
	if w.stops == nil {
		w.stops = map[*app.App]func(context.Context) error{}
	}
	w.stops[a] = stop
	return a
}

// ready starts a replica and waits until it is ready.
func (w *world) ready(t testing.TB, name string, edit ...func(*app.Options)) *app.App {
	t.Helper()
	a := w.start(t, name, edit...)
	eventually(t, "replica "+name+" is ready", func() bool { return get(t, ops(a)+"/readyz") == http.StatusOK })
	return a
}

// unready waits until a replica says that it cannot be used.
func unready(t testing.TB, a *app.App) {
	t.Helper()
	eventually(t, "the replica is unready", func() bool { return get(t, ops(a)+"/readyz") == http.StatusServiceUnavailable })
}

func ops(a *app.App) string { return "http://" + a.OpsAddr() }

func get(t testing.TB, address string) int {
	t.Helper()
	status, _ := ask(t, address)
	return status
}

func body(t testing.TB, address string) string {
	t.Helper()
	_, text := ask(t, address)
	return text
}

// ask returns 0 where nobody answers.
func ask(t testing.TB, address string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // as far as it comes
	return response.StatusCode, string(text)
}

func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	within(t, patience, what, yes)
}

func within(t testing.TB, limit time.Duration, what string, yes func() bool) {
	t.Helper()
	deadline, tick := time.Now().Add(limit), time.NewTicker(limit/2000)
	defer tick.Stop()
	for !yes() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, limit)
		}
		<-tick.C
	}
}

// mint signs a token.
func mint(t testing.TB, secret string, kind auth.TokenType, user room.UserID, at time.Time, ttl time.Duration) string {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.Mint(kind, user, at, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func token(t testing.TB, user room.UserID) string {
	t.Helper()
	return mint(t, secret, auth.Access, user, time.Now(), time.Hour)
}

// chat is a diagnosis of a customer's room at an address.
func chat(t testing.TB, address string) diagnose.Options {
	t.Helper()
	return diagnose.Options{URL: "ws://" + address + "/ws/chat/1/2/", Token: token(t, customer), Timeout: patience}
}
