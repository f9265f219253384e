package sandbox_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func TestPostgresFindsItsDataAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(scratch(t), "deep", "down")
	options := sandbox.PostgresOptions{Dir: dir, Log: t.Output()} // as `dev` does: initdb itself, nothing relaxed
	first, err := sandbox.StartPostgres(limited(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, first.Stop) })
	for range 2 {
		if err := first.EnsureDatabase(limited(t), "room"); err != nil {
			t.Fatal(err)
		}
	}
	mustQuery(t, first.URL("room"), "CREATE TABLE word AS SELECT 'kept' AS w", "")
	stop(t, first.Stop)
	stop(t, first.Stop)
	if err := first.Err(); err != nil {
		t.Errorf("Err after Stop = %v", err)
	}

	second, err := sandbox.StartPostgres(limited(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, second.Stop) })
	mustQuery(t, second.URL("room"), "SELECT w FROM word", "kept")
	if info, err := os.Stat(filepath.Join(dir, "password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v; want mode 0600", info, err)
	}
}

func TestPostgresWantsItsPassword(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	u, err := url.Parse(p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("roomspa", "guess")
	_, err = query(limited(t), u.String(), "SELECT 'in'")
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "28P01" {
		t.Errorf("with a wrong password: %v, want a refusal", err)
	}
}

func remove(segment int) error {
	_, err := unix.SysvShmCtl(segment, unix.IPC_RMID, nil)
	return err //nolint:wrapcheck // for the test
}

func TestKilledPostgresLeavesNoSharedMemory(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	raw, err := os.ReadFile(filepath.Join(p.Dir(), "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	segment := strings.Fields(strings.Split(string(raw), "\n")[6])[1]
	exists := func() bool {
		all, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil {
			t.Skip(err)
		}
		return slices.ContainsFunc(strings.Split(string(all), "\n"), func(line string) bool {
			f := strings.Fields(line)
			return len(f) > 1 && f[1] == segment
		})
	}
	if !exists() {
		t.Fatal("it has no segment: that shows nothing")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if exists() {
		if id, _ := strconv.Atoi(segment); errors.Is(remove(id), unix.EPERM) {
			t.Skip("root may not remove the segment of another user here")
		}
		t.Errorf("segment %s was left", segment)
	}
}

func TestKilledPostgresRestartsAtOnce(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	addr, done := p.Addr(), p.Done()
	conn, err := pgx.Connect(limited(t), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(limited(t), "CREATE TABLE word AS SELECT 'committed' AS w"); err != nil {
		t.Fatal(err)
	}
	backend := int(conn.PgConn().PID())
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-done
	if !gone(backend) {
		t.Error("a backend is left after Kill")
	}
	if err := p.Err(); err != nil {
		t.Errorf("Err after Kill = %v", err)
	}
	if err := conn.Ping(limited(t)); err == nil {
		t.Error("a connection survived Kill")
	}
	if err := p.Restart(limited(t)); err != nil {
		t.Fatal(err)
	}
	if p.Addr() != addr {
		t.Errorf("restarted at %s, want %s", p.Addr(), addr)
	}
	mustQuery(t, p.URL("postgres"), "SELECT w FROM word", "committed")
	if err := p.Restart(limited(t)); err != nil {
		t.Fatal("restart of a running server:", err)
	}
	mustQuery(t, p.URL("postgres"), "SELECT w FROM word", "committed")
}

func TestPausedPostgresAnswersNobody(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	conn, err := pgx.Connect(limited(t), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal("second pause:", err)
	}
	for _, pid := range []int{p.PID(), int(conn.PgConn().PID())} {
		if s := state(pid); s != 'T' {
			t.Errorf("process %d is in state %c, want T", pid, s)
		}
	}
	answer := make(chan error, 1)
	go func() { answer <- conn.Ping(limited(t)) }()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := query(short, p.URL("postgres"), "SELECT 'up'"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("new connection to a paused server: %v, want silence", err)
	}
	select {
	case err := <-answer:
		t.Errorf("a paused server answered: %v", err)
	default:
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("the old connection after Resume: %v", err)
	}
	mustQuery(t, p.URL("postgres"), "SELECT 'up'", "up")

	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	stop(t, p.Stop) // a paused server can be stopped
	if err := p.Pause(); err == nil {
		t.Error("paused a server that does not run")
	}
}

func TestErrTellsHowAServerDied(t *testing.T) {
	t.Parallel()
	p := startPostgres(t, filepath.Join(scratch(t), "pg"))
	if err := p.Err(); err != nil {
		t.Errorf("Err of a running server = %v", err)
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Err = %v, want how it died", err)
	}
	if err := p.Restart(limited(t)); err != nil { // waits for the orphaned backends
		t.Fatal(err)
	}
	mustQuery(t, p.URL("postgres"), "SELECT 'up'", "up")
}

func TestStalePIDFileOfAnotherProcessIsForgotten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(scratch(t), "pg")
	p := startPostgres(t, dir)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "data", "postmaster.pid")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "\n")
	other := exec.CommandContext(t.Context(), "sleep", "600") // lives, and is no postgres
	other.Args[0] = "go -test /internal/postgres"
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	reused := strconv.Itoa(other.Process.Pid)
	if err := os.WriteFile(path, []byte(reused+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	again := startPostgres(t, dir)
	mustQuery(t, again.URL("postgres"), "SELECT 'up'", "up")
}

func TestDirectoryServesOneServer(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(scratch(t), "pg")
	startPostgres(t, dir)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := sandbox.StartPostgres(short, sandbox.PostgresOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second server in one directory: %v", err)
	}
}

func TestStartStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(scratch(t), "redis")
	if _, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("start under a cancelled context: %v", err)
	}
	startRedis(t, dir, nil) // nothing was left running
}

func TestSettingThatPostgresRefusesIsTold(t *testing.T) {
	t.Parallel()
	_, err := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{
		Dir: filepath.Join(scratch(t), "pg"), QuickInit: true, Settings: map[string]string{"no_such_setting": "1"},
	})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want one line with the server's complaint", err)
	}
}
