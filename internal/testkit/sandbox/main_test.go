package sandbox_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func TestMain(m *testing.M) {
	if os.Getenv("SANDBOX_OWNER") != "" {
		own() // this process is to be killed: see orphan_test.go
		return
	}
	os.Exit(m.Run())
}

func scratch(t *testing.T) string {
	t.Helper()
	dir, remove, err := sandbox.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startPostgres(t *testing.T, dir string) *sandbox.Postgres {
	t.Helper()
	p, err := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{
		Dir: dir, Settings: sandbox.TestSettings(), QuickInit: true, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

func startRedis(t *testing.T, dir string, settings map[string]string) *sandbox.Redis {
	t.Helper()
	r, err := sandbox.StartRedis(limited(t), sandbox.RedisOptions{Dir: dir, Settings: settings, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

func stop(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Error(err)
	}
}

// query runs one statement on a connection of its own and returns its one text, or "".
func query(ctx context.Context, url, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return "", err
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(texts) == 0 {
		return "", err
	}
	return texts[0], nil
}

func mustQuery(t *testing.T, url, sql, want string) {
	t.Helper()
	got, err := query(limited(t), url, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if got != want {
		t.Fatalf("%s = %q, want %q", sql, got, want)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx := limited(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func gone(pid int) bool { return syscall.Kill(pid, 0) != nil || zombie(pid) }

func zombie(pid int) bool { return state(pid) == 'Z' }

func inDir(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
