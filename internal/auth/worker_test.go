package auth_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The arguments that make this binary a worker: one of its own priority, and one of the lowest.
const atOnce, whenIdle = "verify-passwords-at-once", "verify-passwords-when-idle"

// TestMain lets this binary be a worker, too.
func TestMain(m *testing.M) {
	serve := map[string]func(io.Reader, io.Writer) error{atOnce: auth.ServeRequests, whenIdle: auth.ServePasswords}
	if len(os.Args) > 1 && serve[os.Args[1]] != nil {
		if len(os.Environ()) > 1 { // GOMAXPROCS
			os.Exit(3) // secrets have no business here
		}
		if err := serve[os.Args[1]](os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	world.Main(m)
}

func delegated(t *testing.T, concurrency int, command ...string) (*auth.Passwords, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	p := auth.NewPasswords(concurrency, 100)
	p.UseProcesses(command, slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(p.Close)
	return p, &log
}

// cheap verifies "secret" in no time.
const cheap = "pbkdf2_sha256$1$salt$ON9CizCTCOSMNofn+QvaDpzyU1aMIex1Sg4HarSrZCM="

func verifies(t *testing.T, p *auth.Passwords, encoded, password string) (ok bool) {
	t.Helper()
	ok, _, err := p.Verify(t.Context(), auth.Client{}, encoded, password)
	if err != nil {
		t.Error(err)
	}
	return ok
}

func TestWorkersAnswerAsThisProcessWould(t *testing.T) {
	t.Parallel()
	p, log := delegated(t, 1, os.Args[0], atOnce)
	here := auth.NewPasswords(1, 32)
	hash, err := p.Hash(t.Context(), "correct horse")
	if err != nil || !verifies(t, here, hash, "correct horse") {
		t.Fatalf("hash %q, %v", hash, err)
	}
	for password, want := range map[string]bool{"correct horse": true, "wrong": false, strings.Repeat("x", 5000): false} {
		if ok := verifies(t, p, hash, password); ok != want {
			t.Errorf("%.20q fits: %v", password, ok)
		}
	}
	if !verifies(t, p, cheap, "secret") { // the rest of the work of a new hash follows
		t.Error("a cheaper hash does not fit")
	}
	if log.Len() > 0 {
		t.Errorf("the log:\n%s", log)
	}
}

func TestWorkersServeManyAtOnceUntilTheyAreClosed(t *testing.T) {
	t.Parallel()
	p, log := delegated(t, 2, os.Args[0], atOnce)
	p.SkipRest()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for password, want := range map[string]bool{"secret": true, "Secret": false, strings.Repeat("x", 4000): false} {
				if ok := verifies(t, p, cheap, password); ok != want {
					t.Errorf("%.20q fits: %v", password, ok)
				}
			}
		})
	}
	wg.Wait()
	if verifies(t, p, "!", "x") || verifies(t, p, cheap, "not this") {
		t.Error("an unusable password fits")
	}
	if _, _, err := p.Verify(t.Context(), auth.Client{}, "md5$x", "x"); !errors.Is(err, auth.ErrUnreadableHash) {
		t.Errorf("a hash that cannot be read: %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("the log:\n%s", log)
	}
	p.Close()
	p.Close()
	if _, _, err := p.Verify(t.Context(), auth.Client{}, cheap, "x"); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

func TestAWorkerThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	// It answers one request of this kind, and is gone.
	p, _ := delegated(t, 1, "/bin/sh", "-c", `head -c 78 >/dev/null; printf '\000\001n'`)
	for range 3 {
		if verifies(t, p, cheap, "wrong pw") {
			t.Error("it fits")
		}
	}
	p, _ = delegated(t, 1, "/bin/false")
	if _, _, err := p.Verify(t.Context(), auth.Client{}, cheap, "x"); !errors.Is(err, auth.ErrBusy) {
		t.Errorf("one that dies at once: %v", err)
	}
}

func TestWithoutAWorkerTheWorkIsDoneHere(t *testing.T) {
	t.Parallel()
	p, log := delegated(t, 1, "/does/not/exist")
	for range 2 {
		if verifies(t, p, cheap, "wrong") {
			t.Error("it fits")
		}
	}
	if n := strings.Count(log.String(), "Cannot start a password process"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log)
	}
}

func FuzzServePasswords(f *testing.F) {
	f.Add([]byte("v\x00\x01!\x00\x01x"))
	f.Add([]byte("h\x00\x00\x00\x00"))
	f.Add([]byte("v\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("argon2")) || bytes.Contains(in, []byte("pbkdf2")) || bytes.ContainsRune(in, 'h') {
			t.Skip("that is work")
		}
		var out bytes.Buffer
		_ = auth.ServePasswords(io.MultiReader(bytes.NewReader(in)), &out)
		if out.Len()%2 != 0 || strings.Trim(out.String(), "\x00") != "" {
			t.Errorf("answered %q", out.Bytes())
		}
	})
}

// TestProcessesThatAreTooManyEnd when fewer passwords may be worked on at a time.
func TestProcessesThatAreTooManyEnd(t *testing.T) {
	t.Parallel()
	p, _ := delegated(t, 2, os.Args[0], atOnce)
	p.SkipRest()
	world.Eventually(t, "two processes run", func() (bool, any) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { verifies(t, p, cheap, "secret") })
		}
		wg.Wait()
		return len(p.Workers()) == 2, p.Workers()
	})
	p.Resize(1)
	if n := len(p.Workers()); n != 1 {
		t.Errorf("%d processes run", n)
	}
	if !verifies(t, p, cheap, "secret") {
		t.Error("the one that is left does not verify")
	}
}
