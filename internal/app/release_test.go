package app_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// baseline is the release before this one as long as there is no tag: a commit
// that is old enough for replicas of it to run somewhere. Where a tag vN is among
// the ancestors of a commit, the newest one takes its place.
const baseline = "2cd3c18d7e3ffa398463a9f8aa444f86f7a0fe6d"

// previousRelease returns the commit of the release before this one, or skips the
// test where the history is not there.
func previousRelease(t *testing.T) string {
	t.Helper()
	if shallow, err := git(t, "rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
		t.Skipf("the previous release cannot be built: this is no clone with its history (git says %q, %v); fetch it with git fetch --unshallow", shallow, err)
	}
	// From the parent: the tag of this very commit, where it has one, is this release.
	tag, err := git(t, "describe", "--tags", "--abbrev=0", "--match=v[0-9]*", "HEAD^")
	if err != nil {
		tag = baseline
	}
	commit, err := git(t, "rev-parse", "--verify", tag+"^{commit}")
	if err != nil {
		t.Fatalf("the previous release %s is not in this clone, which has its history: %v", tag, err)
	}
	return commit
}

// git runs a command of git in this repository, whoever owns it.
func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "safe.directory=*"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Logf("git %s: %v: %s", strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out)), err
}

// sourceOf unpacks a commit into a directory.
func sourceOf(t *testing.T, commit string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	if _, err := git(t, "-C", "../..", "archive", "--output="+archive, commit); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return dir
}

// build builds the command of a source as `make build` does, so that Go's cache
// knows most of it.
func build(t *testing.T, source string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "roomspa")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/roomspa")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", source, err, out)
	}
	return program
}

// environment is what a process of this world is told. It is known to every version.
func (w *world) environment(name, addr, opsAddr string) []string {
	return append(os.Environ(),
		"ROOMSPA_REPLICA="+name, "ROOMSPA_LISTEN="+addr, "ROOMSPA_OPS_LISTEN="+opsAddr,
		"ROOMSPA_DATABASE_URL="+w.databaseURL, "ROOMSPA_REDIS_URL="+w.redisURL, "ROOMSPA_REDIS_PREFIX="+w.prefix, "ROOMSPA_JWT_SECRET="+secret,
		"ROOMSPA_MESSAGE_RATE=100000", "ROOMSPA_MESSAGE_BURST=100000", "ROOMSPA_SHUTDOWN_WAIT=0s", "ROOMSPA_DRAIN_TIMEOUT=3s",
		"ROOMSPA_DATABASE_ACQUIRE_TIMEOUT=10s", "ROOMSPA_DATABASE_LOCK_TIMEOUT=10s", // the machine may be busy
	)
}

// A process is a replica that can be killed.
type process struct{ *sandbox.Program }

func (p process) OpsAddr() string { return local(p.Second()) }

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// serve runs a program's serve, with more variables, and waits until it is ready.
func (w *world) serve(t *testing.T, name, program string, more ...string) (*replica, process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := &replica{world: w, text: &journal{tee: t.Output()}, json: &journal{}}
	p, err := sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: name, Dir: filepath.Join(t.TempDir(), name), Log: r.text,
		Command: func(port, ops int) *exec.Cmd {
			cmd := exec.Command(program, "serve") //nolint:noctx // it outlives the context of its start
			cmd.Env = append(w.environment(name, local(port), local(ops)), more...)
			return cmd
		},
		Answers: func(ctx context.Context, _, ops int) error { // it listens there last
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", local(ops))
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	r.serving = process{p}
	r.becomesReady(t)
	return r, process{p}
}
