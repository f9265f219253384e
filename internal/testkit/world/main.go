// Package sandboxtest gives tests real stores: one Postgres and one Redis per test binary, started at their first use and
// stopped when the tests have ended, a private database and key prefix for each test, and servers of a test's own to break.
//
// It owns the servers and what is in them. It refuses to know the schema, which the caller prepares, and to run outside
// tests. With ROOMSPA_TEST_DATABASE_URL or ROOMSPA_TEST_REDIS_URL set, the shared server is the one named there (its user
// must be allowed to create databases); a test's own servers are always private.
//
// A package that uses it says so once:
//
//	func TestMain(m *testing.M) { sandboxtest.Main(m) }
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// startLimit bounds the start of a server on a machine that has much else to do, initdb included.
const startLimit = 90 * time.Second

// shared are the servers of this test binary: the one global, because Go gives a test no other way to its siblings.
var shared binary

type binary struct {
	running atomic.Bool // between the start and the end of Main
	serial  atomic.Int64

	mu       sync.Mutex
	dir      string
	remove   func() error
	postgres *sandbox.Postgres
	redis    *sandbox.Redis
}

// Main runs the tests, stops the shared servers and ends the process.
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests is Main for those that want to do something after the servers have stopped, such as goleak.VerifyTestMain:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(sandboxtest.Tests{M: m}) }
type Tests struct{ M *testing.M }

// Run runs the tests, stops the shared servers and returns the exit code.
func (r Tests) Run() int {
	shared.running.Store(true)
	code := r.M.Run()
	shared.running.Store(false)
	if err := shared.stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "sandboxtest:", err)
		return max(code, 1)
	}
	return code
}

// place returns a new directory's path for a server.
func (b *binary) place(t testing.TB, kind string) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.placeLocked(t, kind)
}

func (b *binary) placeLocked(t testing.TB, kind string) string {
	t.Helper()
	if !b.running.Load() {
		t.Fatal("sandboxtest: this package needs: func TestMain(m *testing.M) { sandboxtest.Main(m) }")
	}
	if b.dir == "" {
		dir, remove, err := sandbox.Scratch()
		if err != nil {
			t.Fatalf("sandboxtest: %v", err)
		}
		b.dir, b.remove = dir, remove
	}
	return filepath.Join(b.dir, kind+b.next())
}

// next returns a number that this process has not used yet.
func (b *binary) next() string { return strconv.FormatInt(b.serial.Add(1), 10) }

func (b *binary) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	if b.postgres != nil {
		errs = append(errs, b.postgres.Stop(ctx))
	}
	if b.redis != nil {
		errs = append(errs, b.redis.Stop(ctx))
	}
	if b.remove != nil {
		errs = append(errs, b.remove())
	}
	return errors.Join(errs...)
}

// starting bounds a start by startLimit, not by the end of the test that happens to come first.
func starting(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), startLimit)
}
