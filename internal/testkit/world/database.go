package sandboxtest

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
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// templates holds what was prepared in this process, by prepare function.
var templates sync.Map // uintptr → *template

// run tells apart processes that share a server.
var run = strings.ToLower(rand.Text()[:8])

type template struct {
	once sync.Once
	name string
	err  error
}

// Database returns the URL of a database that this test has for itself; it is dropped at the end of the test, with
// whoever is still connected to it. It is a copy of a template that prepare (the migrations, for instance) has filled
// once per test binary; a nil prepare leaves it empty. prepare must close its connections before it returns, and is
// known by its code: two closures of the same function literal share a template.
func Database(t testing.TB, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	server := shared.database(t)
	from := "template0"
	if prepare != nil {
		entry, _ := templates.LoadOrStore(reflect.ValueOf(prepare).Pointer(), &template{})
		tmpl := entry.(*template) //nolint:forcetypeassert,errcheck // nothing else is stored
		tmpl.once.Do(func() {
			ctx, cancel := starting(t)
			defer cancel()
			tmpl.name = "template_" + run + "_" + shared.next()
			tmpl.err = fill(ctx, server, tmpl.name, prepare)
		})
		if tmpl.err != nil {
			t.Fatalf("sandboxtest: prepare a database: %v", tmpl.err)
		}
		from = tmpl.name
	}
	name := "test_" + run + "_" + shared.next()
	ctx, cancel := starting(t)
	defer cancel()
	if err := execute(ctx, server, create(name, from)); err != nil {
		t.Fatalf("sandboxtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("sandboxtest: %v", err)
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
		ctx, cancel := starting(t)
		defer cancel()
		server, err := sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
			Dir: b.placeLocked(t, "pg"), Settings: sandbox.TestSettings(), QuickInit: true,
		})
		if err != nil {
			t.Fatalf("sandboxtest: %v", err)
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

// create leaves the strategy to Postgres: copying files (STRATEGY FILE_COPY) costs checkpoints and was tried to be slower.
func create(name, from string) string {
	return "CREATE DATABASE " + name + " TEMPLATE " + from
}

// execute runs one statement on a connection of its own: a pool would leave goroutines behind.
func execute(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server // the connection will say what is wrong with it
	}
	u.Path = "/" + name
	return u.String()
}
