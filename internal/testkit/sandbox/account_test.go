package sandbox_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

const nobody = 65534

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, which can become others")
	}
}

func TestPostgresOfRootIsNotRoots(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := filepath.Join(scratch(t), "pg")
	startPostgres(t, dir)
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid == 0 {
		t.Errorf("data belongs to %+v, want another user than root", info.Sys())
	}
}

func TestDirectoryThatPostgresCannotEnterIsTold(t *testing.T) {
	t.Parallel()
	asRoot(t)
	closed := filepath.Join(scratch(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{Dir: filepath.Join(closed, "pg")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed+" (mode 0700)") {
		t.Errorf("error = %v, want which directory is closed", err)
	}
}

// TestWithoutRoot runs the essential tests once more as a user without any rights.
func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir := scratch(t)
	program := filepath.Join(dir, "sandbox.test") // the original stands in a directory closed to others
	copyFile(t, os.Args[0], program)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(limited(t), program, "-test.v", "-test.run=^(TestKilled|TestPausedPostgres|TestServersDie)")
	again.Dir = home
	again.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=")
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := again.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 4 {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
