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

// superuser owns the cluster and is whom the URLs sign in as.
const superuser = "roomspa"

// PostgresOptions says where and how a Postgres runs.
type PostgresOptions struct {
	// Dir holds the data, the password (0600) and a lock. It is made if it is missing; what an earlier start left in it is
	// used again. As root it must be passable for the user "postgres" (or "nobody"), which the server then runs as.
	Dir string
	// Port is where it listens, on 127.0.0.1 only; 0 chooses a free one.
	Port int
	// Settings are server settings as in postgresql.conf, for instance TestSettings.
	Settings map[string]string
	// QuickInit fills an empty Dir with a copy of a cluster that was initialised once for this version and user, instead of
	// running initdb, which takes a second or two. All such clusters share one random password. For tests.
	QuickInit bool
	// Log takes what the server writes, one goroutine at a time; nil drops it. Errors quote the end of it either way.
	Log io.Writer
}

// Postgres is a running server. Its methods may be called by several goroutines.
type Postgres struct {
	server

	password string
}

// StartPostgres runs a server and returns when it answers queries. An empty directory is initialised first: UTF-8, locale
// C, scram-sha-256 with a random password. ctx bounds the start only; end the server with Stop or Kill. A missing program
// is an error that says what to install; a directory that another process uses is an error after five seconds.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	p, err := newPostgres(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	if err := p.start(ctx, o.Port); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return p, nil
}

func newPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find directory: %w", err)
	}
	c := cluster{dir: dir}
	if c.tools, err = findPostgres(); err != nil {
		return nil, err
	}
	if c.as, err = postgresAccount(); err != nil {
		return nil, err
	}
	if err := c.as.mayEnter(c.tools.dir); err != nil {
		return nil, err
	}
	if err := c.as.makeDir(dir); err != nil {
		return nil, err
	}
	p := &Postgres{}
	p.name, p.dir, p.stopSignal, p.log = "postgres", dir, syscall.SIGINT, o.Log
	p.command = func(port int) *exec.Cmd { return c.serve(port, o.Settings) }
	p.ping = p.connect
	if err := p.acquire(ctx); err != nil {
		return nil, err
	}
	if p.password, err = c.prepare(ctx, o.QuickInit); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// URL returns the address of a database, with the superuser's password: good for every client in every mode, without TLS.
// The database "postgres" is always there.
func (p *Postgres) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, p.password), Host: p.Addr(),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// EnsureDatabase makes an empty database unless it is there.
func (p *Postgres) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("make database %q: %w", name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("look for database %q: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("make database %q: %w", name, err)
	}
	return nil
}

func (p *Postgres) connect(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err //nolint:wrapcheck // answers says what it was for
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return conn.Ping(ctx) //nolint:wrapcheck // as above
}

// serve is the command line of the server.
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

var plainPath = regexp.MustCompile(`^[\w/.-]+$`) // others would need quoting in a list

// socketDir returns dir if a socket in it has a path that the kernel takes (macOS 103 bytes, Linux 107), otherwise "": none.
func socketDir(dir string) string {
	if len(dir)+len("/.s.PGSQL.65535.lock") > 103 || !plainPath.MatchString(dir) {
		return ""
	}
	return dir
}
