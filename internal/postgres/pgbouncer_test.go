package postgres_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// pgbouncer starts one in transaction mode, with few server connections, in front
// of a database, and returns the URL through it. The settings are lines of its configuration.
func pgbouncer(t *testing.T, target string, settings ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
		}
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	dir := t.TempDir()
	password, _ := u.User.Password()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	users := write("users.txt", fmt.Sprintf("%q %q\n", u.User.Username(), password))
	config := write("pgbouncer.ini", fmt.Sprintf(`[databases]
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
`, u.Hostname(), u.Port(), port, users, strings.Join(settings, "\n")))
	cmd := exec.Command(program, config)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	asNobody(t, cmd, dir, users, config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return u.String()
}

// asNobody lets cmd run as another user where we are root, which pgbouncer refuses.
func asNobody(t *testing.T, cmd *exec.Cmd, dir string, files ...string) {
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

func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	target := world.Database(t, nil)
	o := world.Patient(postgres.Options{URL: pgbouncer(t, target), PgBouncer: true})
	heals := func(db *postgres.DB) { // it is starting
		for postgres.Cause(probing(t, db)) == "refused" {
		}
	}
	heals(open(t, o))
	migrateAtOnce(t, o)
	replicas := []*postgres.DB{open(t, o), open(t, o)}
	db := replicas[0]
	a, b := conversation(t, db, 1), conversation(t, db, 3)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for n := range 20 {
				c := a
				if n%2 == 0 {
					c = b
				}
				if _, _, err := replicas[i%2].Append(t.Context(), c, says("x", fmt.Sprint(i/2, "-", n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, c := range []room.ID{a, b} { // each id came from two callers
		msgs := all(t, db, c)
		if len(msgs) != 160 || msgs[159].Seq != 160 {
			t.Errorf("%d messages", len(msgs))
		}
	}
	mustWork(t, db, a)
	if _, err := db.CreateUser(t.Context(), room.User{ID: 77, Email: "a@example.com", Role: room.Customer}, "-"); err != nil {
		t.Error(err)
	}
	if _, _, err := db.Append(t.Context(), a, says("a\x00b", "")); postgres.Cause(err) != "rejected" {
		t.Error(err)
	}
	conn := direct(t, target)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.conversations WHERE id = $1 FOR UPDATE", a)
	o.LockTimeout = 300 * time.Millisecond
	if _, _, err := open(t, o).Append(t.Context(), a, says("x", "")); postgres.Cause(err) != "lock_timeout" {
		t.Error(err)
	}
	execute(t, conn, "ROLLBACK")
	if m, _ := send(t, db, a, says("x", "")); m.Seq < 161 {
		t.Errorf("seq %d", m.Seq)
	}
}

func probing(t *testing.T, db *postgres.DB) error {
	t.Helper()
	_, err := db.Probe(t.Context())
	return err
}

// TestIndexesAreBuiltBehindPgBouncer: migrations 10 and 15 with rows, and with users who share a
// number, from the version before each.
func TestIndexesAreBuiltBehindPgBouncer(t *testing.T) {
	t.Parallel()
	target := world.Database(t, nil)
	o := world.Patient(postgres.Options{URL: pgbouncer(t, target), PgBouncer: true})
	heal := open(t, o)
	for postgres.Cause(probing(t, heal)) == "refused" { // it is starting
	}
	up := func() string {
		t.Helper()
		var log syncLog
		if _, err := postgres.Migrate(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	up()
	c := conversation(t, heal, 1)
	for n := range 30 {
		send(t, heal, c, says("x", fmt.Sprint(n)))
	}
	downTo(t, o, 9)
	conn := direct(t, target)
	execute(t, conn, `INSERT INTO roomspa.users (id, email, phone, role, password) VALUES
		(901, 'a@example.com', '+49 1', 'customer', '-'), (902, 'b@example.com', '+491', 'customer', '-')`)
	if log := up(); !strings.Contains(log, "Users 901, 902 have the same phone number") {
		t.Errorf("the log does not name the users:\n%s", log)
	}
	if left := invalidIndexes(t, conn); len(left) > 0 {
		t.Error(left)
	}
	var numbers int
	var unique bool
	err := conn.QueryRow(t.Context(), `SELECT (SELECT count(DISTINCT number) FROM roomspa.messages),
		(SELECT indisunique FROM pg_index WHERE indexrelid = 'roomspa.users_phone_number'::regclass)`).Scan(&numbers, &unique)
	if err != nil || numbers != 30 || unique {
		t.Errorf("%d numbers, the index of phone numbers is unique: %v, %v", numbers, unique, err)
	}
	downTo(t, o, 14)
	execute(t, conn, "DELETE FROM roomspa.users WHERE id = 901")
	up()
	if _, err := heal.CreateUser(t.Context(), room.User{Phone: "+4 9 1", Role: room.Customer}, "-"); err == nil {
		t.Error("a second user has the number")
	}
}
