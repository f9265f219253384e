package sandbox

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// superuser is the owner of the cluster and the user in its URLs.
const superuser = "roomspa"

// PostgresOptions configures a Postgres server.
type PostgresOptions struct {
	// Dir holds the data, the password (0600) and a lock. It is created if it does not exist, and data of an earlier start
	// is used again. For root the user "postgres" (or "nobody"), which the server then runs as, must be able to enter it.
	Dir string
	// Port is the port on 127.0.0.1; 0 chooses a free one.
	Port int
	// Settings are server settings as in postgresql.conf, such as TestSettings.
	Settings map[string]string
	// QuickInit initialises an empty Dir with a copy of a cluster that was made once for this version and user. Running
	// initdb takes a second or two. All such clusters share one random password. For tests.
	QuickInit bool
	// Log receives the output of the server, from one goroutine at a time; nil discards it. Errors quote the end of it in
	// any case.
	Log io.Writer
}

// TestSettings returns settings that make Postgres fast and small. Committed data survives Kill but not a power failure: a
// commit hands its WAL to the kernel. That requires synchronous_commit, which costs almost nothing without fsync. The
// caller owns the map.
func TestSettings() map[string]string {
	return map[string]string{
		"fsync":            "off",
		"full_page_writes": "off",
		"max_connections":  "200",
		"shared_buffers":   "32MB",
		"autovacuum":       "off",
		"jit":              "off",
		"max_wal_size":     "1GB",

		"wal_level":       "minimal",
		"max_wal_senders": "0",

		// In the data directory: a killed server would leave files in /dev/shm.
		"dynamic_shared_memory_type": "mmap",
	}
}

// Postgres is a running server. Its methods are safe for concurrent use.
type Postgres struct {
	server

	cluster  cluster
	password string
}

// StartPostgres starts a server and returns when it answers queries. It initialises an empty directory with UTF-8, locale
// C and scram-sha-256 with a random password. ctx bounds only the start; stop the server with Stop or Kill. If a program is
// missing, the error says what to install. If another process uses the directory, StartPostgres fails after five seconds.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	p, err := newPostgres(ctx, o, func(ctx context.Context, c cluster) (string, error) { return c.prepare(ctx, o.QuickInit) })
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := p.start(ctx, o.Port); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return p, nil
}

// newPostgres returns a server that does not run yet. prepare makes its cluster and returns the password.
func newPostgres(ctx context.Context, o PostgresOptions, prepare func(context.Context, cluster) (string, error)) (*Postgres, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the directory: %w", err)
	}
	c := cluster{dir: dir}
	if c.tools, err = findPostgres(); err != nil {
		return nil, err
	}
	if c.as, err = postgresAccount(); err != nil {
		return nil, err
	}
	if err := c.as.checkAccess(c.tools.dir); err != nil {
		return nil, err
	}
	if err := c.as.makeDir(dir); err != nil {
		return nil, err
	}
	p := &Postgres{cluster: c}
	p.name, p.dir, p.stopSignal, p.log = "postgres", dir, syscall.SIGINT, o.Log
	p.command = func(port int) *exec.Cmd { return c.serve(port, o.Settings) }
	p.ping = p.connect
	if err := p.acquire(ctx); err != nil {
		return nil, err
	}
	if p.password, err = prepare(ctx, c); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// URL returns the URL of a database, with the password of the superuser and without TLS. The database "postgres" always
// exists.
func (p *Postgres) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, p.password), Host: p.Addr(),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// EnsureDatabase creates an empty database if it does not exist.
func (p *Postgres) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %q: %w", name, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}

func (p *Postgres) connect(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it was for
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return conn.Ping(ctx) //nolint:wrapcheck // as above
}

// serve returns the command that runs the server.
func (c cluster) serve(port int, settings map[string]string) *exec.Cmd {
	all := map[string]string{"unix_socket_directories": socketDir(c.data())}
	maps.Copy(all, settings)
	all["listen_addresses"] = "127.0.0.1"
	all["port"] = strconv.Itoa(port)

	args := []string{"-D", c.data()}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	cmd := exec.Command(c.tools.path("postgres"), args...) //nolint:gosec,noctx // outlives the context of its start
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.tools.env, c.dir, c.as.attr()
	return cmd
}

// plainPath matches paths that need no quoting in a list.
var plainPath = regexp.MustCompile(`^[\w/.-]+$`)

// socketDir returns dir if the path of a socket in it is short enough (macOS 103 bytes, Linux 107). Otherwise it returns
// "", for no socket.
func socketDir(dir string) string {
	if len(dir)+len("/.s.PGSQL.65535.lock") > 103 || !plainPath.MatchString(dir) {
		return ""
	}
	return dir
}
