// Package world builds what a scenario needs: real stores with users in them, replicas that share them, clients and
// their tokens, and faults between them. A scenario then reads: given a world, do something, expect something.
//
// Each test has a private database and key prefix on one Postgres and one Redis per test binary, or servers of its own to
// break. With ROOMSPA_TEST_DATABASE_URL or ROOMSPA_TEST_REDIS_URL set, the shared server is the one named there (its user
// must be allowed to create databases); a test's own servers are always private.
//
// The package refuses to be imported by anything but tests. A package that uses it says so once:
//
//	func TestMain(m *testing.M) { world.Main(m) }
package world

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Limit is how long a test waits for anything: long enough for a machine that has much else to do. It decides only how
// soon a failure is reported, so no test needs another one.
const Limit = 2 * time.Minute

// parallel is how many tests of a package run at once: most of them mostly wait.
const parallel = "8"

// shared are the servers of this test binary: the one global, because Go gives a test no other way to its siblings.
var shared binary

type binary struct {
	running atomic.Bool // between the start and the end of Main
	serial  atomic.Int64
	program program

	mu       sync.Mutex
	dir      string
	remove   func() error
	postgres *sandbox.Postgres
	redis    *sandbox.Redis
}

// Main runs the tests, stops the shared servers, looks for goroutines that were left behind, and ends the process.
func Main(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(parallel)
	}
	goleak.VerifyTestMain(Tests{m},
		// go-redis asks a server that is down once a second whether it is back. It looks only then whether it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// Tests is Main without the search for goroutines, for a TestMain that passes the tests to another package.
type Tests struct{ M *testing.M }

// Run runs the tests, stops the shared servers and returns the exit code.
func (r Tests) Run() int {
	shared.running.Store(true)
	code := r.M.Run()
	shared.running.Store(false)
	if err := shared.stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "world:", err)
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
		t.Fatal("world: this package needs: func TestMain(m *testing.M) { world.Main(m) }")
	}
	if b.dir == "" {
		dir, remove, err := sandbox.Scratch()
		if err != nil {
			t.Fatalf("world: %v", err)
		}
		b.dir, b.remove = dir, remove
	}
	return filepath.Join(b.dir, kind+b.next())
}

// next returns a number that this process has not used yet.
func (b *binary) next() string { return strconv.FormatInt(b.serial.Add(1), 10) }

func (b *binary) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Limit)
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

// limited returns a context that Limit ends and the end of the test does not: a server that a test starts may outlive it,
// and what a test leaves is cleaned up after it.
func limited(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), Limit)
}
