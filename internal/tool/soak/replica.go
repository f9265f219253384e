package soak

import (
	"context"
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

// A replica is one server process with its links. Its ports stay the same when it is
// restarted.
type replica struct {
	name    string
	addr    string           // bypasses the link in front
	program *sandbox.Program // nil if a test runs the replica in its own process

	redis, postgres *netfault.Proxy // from the replica to the stores
	redisURL, pgURL string          // through these links
	front           *netfault.Proxy // from the clients to the replica
}

// eachLink calls f for every link.
func (r *replica) eachLink(f func(*netfault.Proxy)) {
	for _, link := range []*netfault.Proxy{r.front, r.redis, r.postgres} {
		if link != nil {
			f(link)
		}
	}
}

// startReplica starts a replica behind links of its own. If it fails, the returned replica
// must still be stopped.
func (d *deployment) startReplica(ctx context.Context, name, dir string) (*replica, error) {
	r := &replica{name: name}
	if err := d.openLinks(r); err != nil {
		return r, err
	}
	log, err := d.openLog(name)
	if err != nil {
		return r, err
	}
	r.program, err = sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: name, Dir: dir, Log: log, Answers: ping,
		Command: func(port, ops int) *exec.Cmd {
			cmd := exec.Command(d.command[0], d.command[1:]...) //nolint:noctx // it outlives the context of its start
			cmd.Env = append(os.Environ(), d.environment(r, port, ops)...)
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

// openLinks opens the links from a replica to the stores.
func (d *deployment) openLinks(r *replica) (err error) {
	if r.redis, err = netfault.ListenRedis(hostOf(d.redisURL)); err != nil {
		return err
	}
	if r.postgres, err = netfault.Listen(hostOf(d.pgURL)); err != nil {
		return err
	}
	r.redisURL, r.pgURL = r.redis.URL(d.redisURL), r.postgres.URL(d.pgURL)
	return nil
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // dialling it returns an error
	}
	return u.Host
}

// environment configures a replica. Its timeouts are shorter than the defaults, so that a
// run meets each of them often. Its limits of messages are out of the way.
func (d *deployment) environment(r *replica, port, ops int) []string {
	host := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	return append([]string{
		"ROOMSPA_REPLICA=" + r.name, "ROOMSPA_LISTEN=" + host(port), "ROOMSPA_OPS_LISTEN=" + host(ops),
		"ROOMSPA_DATABASE_URL=" + r.pgURL,
		"ROOMSPA_REDIS_URL=" + r.redisURL, "ROOMSPA_REDIS_PREFIX=" + d.prefix,
		"ROOMSPA_JWT_SECRET=" + d.secret, "ROOMSPA_LOG_LEVEL=warn", "ROOMSPA_CLASSIC_CLIENTS=true",
		"ROOMSPA_MESSAGE_RATE=100000", "ROOMSPA_MESSAGE_BURST=100000", "ROOMSPA_USER_SOCKETS=0", "ROOMSPA_ADDRESS_SHARE=1",
		"ROOMSPA_PING_INTERVAL=3s", "ROOMSPA_PONG_TIMEOUT=3s", "ROOMSPA_WRITE_TIMEOUT=4s",
		"ROOMSPA_SHUTDOWN_WAIT=0s", "ROOMSPA_DRAIN_TIMEOUT=3s", "ROOMSPA_FLUSH_TIMEOUT=3s",
	}, d.options...)
}

// noKeepAlive keeps no connections open.
var noKeepAlive = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ping succeeds if the public listener answers. The replica need not be ready: a store may
// be away when it starts.
func ping(ctx context.Context, port, _ int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+"/ws/", nil)
	if err != nil {
		return fmt.Errorf("ping the replica: %w", err)
	}
	res, err := noKeepAlive.Do(req)
	if err != nil {
		return fmt.Errorf("ping the replica: %w", err)
	}
	return res.Body.Close()
}

// stop stops the replica and its links. It repairs the links first, so that the replica can
// shut down in order.
func (r *replica) stop(ctx context.Context) error {
	r.eachLink((*netfault.Proxy).Heal)
	var errs []error
	if r.program != nil {
		errs = append(errs, r.program.Resume(), r.program.Stop(ctx))
	}
	r.eachLink((*netfault.Proxy).Close)
	return errors.Join(errs...)
}
