package world

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// program is the roomspa command, which is built at most once.
type program struct {
	once sync.Once
	path string
	err  error
}

// Program builds the roomspa command, once per test binary and without the race detector, and returns its path.
func Program(t testing.TB) string {
	t.Helper()
	p := &shared.program
	p.once.Do(func() {
		dir := shared.place(t, "bin")
		p.path, p.err = build(".", dir, "github.com/roomspa/roomspa/cmd/roomspa")
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

// Build builds the roomspa command of another source directory and returns its path.
func Build(t testing.TB, source string) string {
	t.Helper()
	path, err := build(source, t.TempDir(), "./cmd/roomspa")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds a command as `make build` does, so that Go's cache has most of it. It takes as long as it takes.
func build(source, into, command string) (path string, err error) {
	path = filepath.Join(into, "roomspa")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, command) //nolint:noctx // see above
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s in %s: %w: %s", command, source, err, out)
	}
	return path, nil
}

// Environment returns the variables of a process of this world. Every version of roomspa knows them.
func (w *World) Environment(name, addr, opsAddr string) []string {
	return append(os.Environ(),
		"ROOMSPA_REPLICA="+name, "ROOMSPA_LISTEN="+addr, "ROOMSPA_OPS_LISTEN="+opsAddr,
		"ROOMSPA_DATABASE_URL="+w.DatabaseURL, "ROOMSPA_REDIS_URL="+w.RedisURL, "ROOMSPA_REDIS_PREFIX="+w.RedisPrefix,
		"ROOMSPA_JWT_SECRET="+w.Secret, "ROOMSPA_MESSAGE_RATE=100000", "ROOMSPA_MESSAGE_BURST=100000",
		"ROOMSPA_ADDRESS_SHARE=1", "ROOMSPA_SHUTDOWN_WAIT=0s", "ROOMSPA_DRAIN_TIMEOUT=3s", // the rest gives a busy machine time, as Options does
		"ROOMSPA_DATABASE_ACQUIRE_TIMEOUT=30s", "ROOMSPA_DATABASE_LOCK_TIMEOUT=30s", "ROOMSPA_DATABASE_STATEMENT_TIMEOUT=30s",
		"ROOMSPA_WRITE_TIMEOUT=1m", "ROOMSPA_PONG_TIMEOUT=1m", "ROOMSPA_FLUSH_TIMEOUT=20s",
	)
}

// Serve runs `roomspa serve` of a program as a process of its own, with more variables, and waits until it is ready. It is
// stopped at the end of the test.
func (w *World) Serve(t testing.TB, name, program string, more ...string) *Replica {
	t.Helper()
	ctx, cancel := limited(t)
	defer cancel()
	r := &Replica{World: w, Log: &Journal{tee: t.Output()}, JSONLog: &Journal{}}
	var err error
	r.Process, err = sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: name, Dir: filepath.Join(t.TempDir(), name), Log: r.Log,
		Command: func(port, ops int) *exec.Cmd {
			cmd := exec.Command(program, "serve") //nolint:noctx // it outlives the context of its start
			cmd.Env = append(w.Environment(name, loopback(port), loopback(ops)), more...)
			return cmd
		},
		Answers: func(ctx context.Context, _, ops int) error { // it opens this listener last
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", loopback(ops))
			if err != nil {
				return fmt.Errorf("connect to the ops listener: %w", err)
			}
			return conn.Close()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.addr, r.opsAddr, r.stop = r.Process.Addr(), loopback(r.Process.Second()), r.Process.Stop
	r.stopAtEnd(t, name)
	r.WaitReady(t)
	return r
}

// Run runs a command of roomspa in this world and returns what it prints.
func (w *World) Run(t testing.TB, program string, arguments ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Env = w.Environment("command", "", "")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
