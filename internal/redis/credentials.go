package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/tcp"
)

// A target is how new connections are made: it has the credentials and certificates.
type target struct {
	options            Options
	username, password string
	sentinel           string      // user and password of the sentinels, which go-redis cannot change
	tls                *tls.Config // nil without TLS
}

// Reload makes new connections use the credentials in a URL, and the certificates that are in
// their files now. An empty URL means the one in use. Open connections stay. If the URL or a file
// is not usable, or the URL names another server, the error says so and nothing changes. Call it
// from one goroutine at a time.
func (c *Client) Reload(rawURL string) error {
	old := c.target.Load()
	o := old.options
	if rawURL != "" {
		o.URL = rawURL
	}
	u, err := o.universal()
	if err != nil {
		return err
	}
	fresh := newTarget(o, u)
	if is := address(u); is != c.address || u.DB != c.database || (fresh.tls == nil) != (old.tls == nil) {
		return fmt.Errorf("the Redis URL names another server, database or scheme (%s instead of %s), which needs a restart", is, c.address)
	}
	if fresh.sentinel != old.sentinel {
		return errors.New("other credentials of the sentinels need a restart")
	}
	c.target.Store(fresh)
	return nil
}

func newTarget(o Options, u *goredis.UniversalOptions) *target {
	return &target{o, u.Username, u.Password, u.SentinelUsername + "\x00" + u.SentinelPassword, u.TLSConfig}
}

// useTarget makes go-redis use the current target for each new connection.
func (c *Client) useTarget(u *goredis.UniversalOptions) {
	u.CredentialsProviderContext = func(context.Context) (string, string, error) {
		t := c.target.Load()
		return t.username, t.password, nil
	}
	dialer := &net.Dialer{
		Timeout:         u.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	u.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, u.DialTimeout)
		defer cancel()
		conn, err := tcp.Dial(ctx, dialer, network, addr)
		if config := c.target.Load().tls; config != nil && err == nil {
			return secure(ctx, conn, config, addr)
		}
		return conn, err
	}
	// The name is a courtesy: an ACL may forbid it. It is not an option of go-redis, because
	// there it would cost the connection.
	name := clientName(c.replica)
	u.OnConnect = func(ctx context.Context, conn *goredis.Conn) error {
		if err := conn.ClientSetName(ctx, name).Err(); err != nil && !isAnswer(err) {
			return err
		}
		return nil
	}
}

// isAnswer reports whether err is an error that Redis itself has answered.
func isAnswer(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}

// secure begins TLS on a connection to addr.
func secure(ctx context.Context, conn net.Conn, config *tls.Config, addr string) (net.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	c := tls.Client(conn, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}
