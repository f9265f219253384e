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

// RedisOptions says where and how a Redis runs.
type RedisOptions struct {
	// Dir holds the data, redis.conf, the password (both 0600) and a lock. It is made if it is missing; what an earlier
	// start left in it is used again.
	Dir string
	// Port is where it listens, on 127.0.0.1 only; 0 chooses a free one.
	Port int
	// Settings are directives as in redis.conf; a value may hold several words, and "" is the empty word. Without any,
	// every write is appended to a file, synced each second. requirepass replaces the random password.
	Settings map[string]string
	// Log takes what the server writes, one goroutine at a time; nil drops it. Errors quote the end of it either way.
	Log io.Writer
}

// Redis is a running server. Its methods may be called by several goroutines.
type Redis struct {
	server

	found    tools
	password string
}

// Beside returns a command that runs the server's program with other arguments, as a
// sentinel for instance, and the libraries that it needs. Whoever starts it ends it.
func (r *Redis) Beside(args ...string) *exec.Cmd {
	cmd := exec.Command(r.found.path("redis-server"), args...) //nolint:gosec,noctx // outlives the context of its start
	cmd.Env = r.found.env
	return cmd
}

// StartRedis runs a server and returns when it answers PING, its data loaded. ctx bounds the start only; end the server
// with Stop or Kill. It runs as the calling user, root included. A missing program is an error that says what to install;
// a directory that another process uses is an error after five seconds.
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
		return nil, fmt.Errorf("find directory: %w", err)
	}
	found, err := findRedis()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
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

// configure writes redis.conf: the password must not be seen in a list of processes.
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
			return fmt.Errorf("setting %q: more than one line", name)
		}
		if value == "" {
			value = `""`
		}
		conf.WriteString(name + " " + value + "\n")
	}
	if err := os.WriteFile(filepath.Join(r.dir, "redis.conf"), []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// URL returns the server's address with its password, for the default user and database 0.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("default", r.password), Host: r.Addr(), Path: "/0"}
	return u.String()
}

func (r *Redis) connect(ctx context.Context) error {
	knock, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr()) // go-redis would print every refusal to stderr
	if err != nil {
		return err //nolint:wrapcheck // answers says what it was for
	}
	_ = knock.Close()
	client := goredis.NewClient(&goredis.Options{
		Addr: r.Addr(), Username: "default", Password: r.password,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return errors.Join(client.Ping(ctx).Err(), client.Close())
}
