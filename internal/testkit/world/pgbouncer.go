package world

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// StartPgBouncer starts a PgBouncer in transaction mode, with few server connections, in front of a database, and returns
// the URL through it. The settings are lines of its configuration. It is stopped at the end of the test. The test is skipped
// where PgBouncer is not installed.
func StartPgBouncer(t testing.TB, target string, settings ...string) (program *sandbox.Program, through string) {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	password, _ := u.User.Password()
	users := filepath.Join(dir, "users.txt")
	if err := os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", u.User.Username(), password), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(port int) string {
		path := filepath.Join(dir, "pgbouncer.ini")
		if err := os.WriteFile(path, fmt.Appendf(nil, `[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 4
server_login_retry = 1
%s
`, u.Hostname(), u.Port(), port, users, strings.Join(settings, "\n")), 0o600); err != nil {
			t.Error(err)
		}
		return path
	}
	ctx, cancel := limited(t)
	defer cancel()
	program, err = sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: "pgbouncer", Dir: filepath.Join(t.TempDir(), "pgbouncer"), Log: t.Output(),
		Command: func(port, _ int) *exec.Cmd {
			path := config(port)
			cmd := exec.Command(binary, path) //nolint:noctx // it outlives the context of its start
			asNobody(t, cmd, dir, users, path)
			return cmd
		},
		Answers: func(ctx context.Context, port, _ int) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", loopback(port))
			if err != nil {
				return fmt.Errorf("connect to PgBouncer: %w", err)
			}
			return conn.Close()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Kill() })
	pooled := *u // a restart writes the configuration again
	pooled.Host = program.Addr()
	return program, pooled.String()
}

// asNobody lets cmd run as another user where we are root, which pgbouncer refuses.
func asNobody(t testing.TB, cmd *exec.Cmd, dir string, files ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("pgbouncer does not run as root, and there is no user nobody")
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	for _, path := range append(files, dir) {
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	for parent := filepath.Dir(dir); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if info, err := os.Stat(parent); err == nil && info.Mode().Perm()&0o001 == 0 {
			_ = os.Chmod(parent, info.Mode().Perm()|0o111)
		}
	}
}
