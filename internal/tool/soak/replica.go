package soak

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func newSecret() string { return rand.Text() + rand.Text() }

// A replica is one process that serves, and its links. It keeps its ports when it
// is started again.
type replica struct {
	links

	name    string
	addr    string           // without a link
	program *sandbox.Program // nil where a test runs it in its own process
}

// replica starts a replica behind links of its own.
func (s *stage) replica(ctx context.Context, name, dir string) (*replica, error) {
	r := &replica{name: name}
	if err := s.link(r); err != nil {
		return r, err
	}
	log, err := s.log(name)
	if err != nil {
		return r, err
	}
	r.program, err = sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: name, Dir: dir, Log: log, Answers: answers,
		Command: func(port, ops int) *exec.Cmd {
			cmd := exec.Command(s.command[0], s.command[1:]...) //nolint:noctx // it outlives the context of its start
			cmd.Env = append(os.Environ(), s.environment(r, port, ops)...)
			return cmd
		},
	})
	if err != nil {
		return r, err
	}
	r.addr = r.program.Addr()
	r.front, err = netfault.Listen(r.addr)
	return r, err
}

// link makes a replica's ways to the stores.
func (s *stage) link(r *replica) (err error) {
	if r.redis, err = netfault.Listen(hostOf(s.redisURL)); err != nil {
		return err
	}
	r.postgres, err = netfault.Listen(hostOf(s.pgURL))
	return err
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // to dial it will say what is wrong with it
	}
	return u.Host
}

// environment configures a replica. Its limits of time are shorter than the
// defaults, so that a run sees each of them often, and the one of messages is out
// of the way.
func (s *stage) environment(r *replica, port, ops int) []string {
	host := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	return append([]string{
		"ROOMSPA_REPLICA=" + r.name, "ROOMSPA_LISTEN=" + host(port), "ROOMSPA_OPS_LISTEN=" + host(ops),
		"ROOMSPA_DATABASE_URL=" + r.postgres.URL(s.pgURL),
		"ROOMSPA_REDIS_URL=" + r.redis.URL(s.redisURL), "ROOMSPA_REDIS_PREFIX=" + s.prefix,
		"ROOMSPA_JWT_SECRET=" + s.secret, "ROOMSPA_LOG_LEVEL=warn",
		"ROOMSPA_MESSAGE_RATE=100000", "ROOMSPA_MESSAGE_BURST=100000",
		"ROOMSPA_PING_INTERVAL=3s", "ROOMSPA_PONG_TIMEOUT=3s", "ROOMSPA_WRITE_TIMEOUT=4s",
		"ROOMSPA_SHUTDOWN_WAIT=0s", "ROOMSPA_DRAIN_TIMEOUT=3s", "ROOMSPA_FLUSH_TIMEOUT=3s",
	}, s.options...)
}

// answers reports whether the public listener does. Whether the replica is ready
// is another matter: it may well be started while a store is away.
func answers(ctx context.Context, port, _ int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/ws/", nil)
	if err != nil {
		return fmt.Errorf("ask the replica: %w", err)
	}
	res, err := once.Do(req)
	if err != nil {
		return fmt.Errorf("ask the replica: %w", err)
	}
	return res.Body.Close()
}

// once keeps no connection.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// stop heals the links, so that the replica can end in order, and ends it.
func (r *replica) stop(ctx context.Context) error {
	r.each((*netfault.Proxy).Heal)
	var errs []error
	if r.program != nil {
		errs = append(errs, r.program.Resume(), r.program.Stop(ctx))
	}
	r.each((*netfault.Proxy).Close)
	return errors.Join(errs...)
}
