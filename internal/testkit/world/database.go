package world

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// templates holds the templates of this process, by prepare function.
var templates sync.Map // uintptr → *template

// run tells processes apart that share a server.
var run = strings.ToLower(rand.Text()[:8])

type template struct {
	once sync.Once
	name string
	err  error
}

// Database returns the URL of a database for this test alone. At the end of the test it is dropped, and connections to it
// are cut. It is a copy of a template that prepare (the migrations, for instance) fills once per test binary; a nil
// prepare leaves it empty. prepare must close its connections before it returns. It is known by its code: two closures of
// the same function literal share a template.
func Database(t testing.TB, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	server := shared.database(t)
	from := "template0"
	if prepare != nil {
		entry, _ := templates.LoadOrStore(reflect.ValueOf(prepare).Pointer(), &template{})
		tmpl := entry.(*template) //nolint:forcetypeassert,errcheck // nothing else is stored
		tmpl.once.Do(func() {
			ctx, cancel := limited(t)
			defer cancel()
			tmpl.name = "template_" + run + "_" + shared.next()
			tmpl.err = fill(ctx, server, tmpl.name, prepare)
		})
		if tmpl.err != nil {
			t.Fatalf("world: prepare a database: %v", tmpl.err)
		}
		from = tmpl.name
	}
	name := "test_" + run + "_" + shared.next()
	ctx, cancel := limited(t)
	defer cancel()
	if err := execute(ctx, server, create(name, from)); err != nil {
		t.Fatalf("world: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := limited(t)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("world: %v", err)
		}
	})
	return withDatabase(server, name)
}

// database returns the URL of the shared server, which it starts at its first use.
func (b *binary) database(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("ROOMSPA_TEST_DATABASE_URL"); given != "" {
		return given
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.postgres == nil {
		ctx, cancel := limited(t)
		defer cancel()
		server, err := sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
			Dir: b.placeLocked(t, "pg"), Settings: sandbox.TestSettings(), QuickInit: true,
		})
		if err != nil {
			t.Fatalf("world: %v", err)
		}
		b.postgres = server
	}
	return b.postgres.URL("postgres")
}

func fill(ctx context.Context, server, name string, prepare func(context.Context, string) error) error {
	if err := execute(ctx, server, create(name, "template0")); err != nil {
		return err
	}
	return prepare(ctx, withDatabase(server, name))
}

// create leaves the strategy to Postgres. STRATEGY FILE_COPY was measured to be slower, because of its checkpoints.
func create(name, from string) string {
	return "CREATE DATABASE " + name + " TEMPLATE " + from
}

// Execute runs SQL in a database, for functions that prepare one.
func Execute(ctx context.Context, databaseURL, sql string) error {
	return execute(ctx, databaseURL, sql)
}

// execute runs one statement on a connection of its own: a pool would leave goroutines behind.
func execute(ctx context.Context, server, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server // connecting to it reports the error
	}
	u.Path = "/" + name
	return u.String()
}
