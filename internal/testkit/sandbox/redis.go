package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions configures a Redis server.
type RedisOptions struct {
	// Dir holds the data, redis.conf, the password (both 0600) and a lock. It is created if it does not exist, and data of
	// an earlier start is used again.
	Dir string
	// Port is the port on 127.0.0.1; 0 chooses a free one.
	Port int
	// Settings are directives as in redis.conf. A value may consist of several words, and "" is the empty word. By default
	// every write is appended to a file that is synced each second. requirepass replaces the random password.
	Settings map[string]string
	// Log receives the output of the server, from one goroutine at a time; nil discards it. Errors quote the end of it in
	// any case.
	Log io.Writer
}

// RedisTestSettings returns settings for a Redis without persistence, which a replica can follow at once. The caller owns
// the map.
func RedisTestSettings() map[string]string {
	return map[string]string{"appendonly": "no", "save": "", "repl-diskless-sync-delay": "0"}
}

// Redis is a running server. Its methods are safe for concurrent use.
type Redis struct {
	server

	found    tools
	password string
}

// Beside returns a command that runs redis-server with other arguments, as a sentinel for instance. The caller starts and
// stops it.
func (r *Redis) Beside(args ...string) *exec.Cmd {
	cmd := exec.Command(r.found.path("redis-server"), args...) //nolint:gosec,noctx // outlives the context of its start
	cmd.Env = r.found.env
	return cmd
}

// StartRedis starts a server and returns when it has loaded its data and answers PING. ctx bounds only the start; stop the
// server with Stop or Kill. It runs as the current user, even as root. If the program is missing, the error says what to
// install. If another process uses the directory, StartRedis fails after five seconds.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	r, err := newRedis(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	if err := r.start(ctx, o.Port); err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	return r, nil
}

func newRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the directory: %w", err)
	}
	found, err := findRedis()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory: %w", err)
	}
	r := &Redis{found: found}
	r.name, r.dir, r.stopSignal, r.log = "redis", dir, syscall.SIGTERM, o.Log
	r.command = func(port int) *exec.Cmd {
		cmd := r.Beside(filepath.Join(dir, "redis.conf"), "--port", strconv.Itoa(port))
		cmd.Dir = dir
		return cmd
	}
	r.ping = r.connect
	if err := r.acquire(ctx); err != nil {
		return nil, err
	}
	if err := r.configure(o.Settings); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// configure writes redis.conf. Arguments would show the password in the process list.
func (r *Redis) configure(settings map[string]string) error {
	all := map[string]string{
		"appendonly": "yes", "appendfsync": "everysec", "daemonize": "no", "logfile": "", "dir": `"` + r.dir + `"`,
	}
	maps.Copy(all, settings)
	if r.password = settings["requirepass"]; r.password == "" {
		var err error
		if r.password, err = password(r.dir); err != nil {
			return err
		}
	}
	all["requirepass"] = r.password
	all["bind"] = "127.0.0.1"
	delete(all, "port")

	var conf strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		if strings.ContainsAny(name+value, "\r\n") {
			return fmt.Errorf("setting %q has more than one line", name)
		}
		if value == "" {
			value = `""`
		}
		conf.WriteString(name + " " + value + "\n")
	}
	if err := os.WriteFile(filepath.Join(r.dir, "redis.conf"), []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("write redis.conf: %w", err)
	}
	return nil
}

// URL returns the URL of database 0, with the password of the default user.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("default", r.password), Host: r.Addr(), Path: "/0"}
	return u.String()
}

func (r *Redis) connect(ctx context.Context) error {
	probe, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr()) // go-redis prints every refused connection to stderr
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it was for
	}
	_ = probe.Close()
	client := r.client()
	return errors.Join(client.Ping(ctx).Err(), client.Close())
}

// client returns a client with one connection. The caller closes it.
func (r *Redis) client() *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: r.Addr(), Username: "default", Password: r.password,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}
