package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/portpeek"
)

// A verdict is what was found out about Redis after a failure, beside what the failure says.
type verdict struct {
	at    time.Time
	cause string // "" if nothing was found
	text  string
}

// verdictLife is how long a verdict counts, and how often one is looked for.
const verdictLife = 15 * time.Second

// findings are what was found out after failures of the connection.
type findings struct {
	port      atomic.Pointer[verdict]
	databases atomic.Pointer[verdict]
}

// withPort returns err with the protocol that the port speaks, if that was found out lately and
// explains the failure.
func (c *Client) withPort(err error) error {
	v := c.found.port.Load()
	if v == nil || v.cause == "" || time.Since(v.at) > verdictLife {
		return err
	}
	said := err
	if e, ok := errors.AsType[*explained](err); ok {
		said = e.err
	}
	return &explained{v.text + " (" + said.Error() + ")", v.cause, err}
}

// investigate looks once more after a failure whose text tells too little, and returns an error
// that says what it has found. It takes 2 s at most, and looks once in 15 s.
func (c *Client) investigate(ctx context.Context, err error) error {
	switch classify(err) {
	case causeStalled, causeLost, causeOther:
		if find(&c.found.port, func() (string, string) { return c.askPort(ctx) }) {
			return c.translate(err)
		}
	case causeNoDatabase:
		if find(&c.found.databases, func() (string, string) { return causeNoDatabase, c.countDatabases(ctx) }) {
			return c.translate(err)
		}
	}
	return err
}

// find looks for a verdict, unless there is one that still counts. It returns whether there is
// one.
func find(in *atomic.Pointer[verdict], look func() (cause, text string)) bool {
	before := in.Load()
	if before != nil && time.Since(before.at) < verdictLife {
		return before.cause != ""
	}
	fresh := &verdict{at: time.Now()}
	fresh.cause, fresh.text = look()
	in.CompareAndSwap(before, fresh)
	return fresh.cause != ""
}

// askPort finds out whether the port speaks another protocol than the URL says.
func (c *Client) askPort(ctx context.Context) (word, text string) {
	hosts := strings.TrimPrefix(strings.TrimPrefix(c.address, "cluster "), "sentinel ")
	host, _, _ := strings.Cut(strings.Fields(hosts)[0], ",")
	answer := portpeek.Ask(ctx, "tcp", host)
	wantsTLS := c.target.Load().tls != nil
	said := strings.TrimPrefix(answer.Text, "-")
	switch {
	case answer.Protocol == portpeek.Redis && isRefusal([]byte(answer.Text)):
		return cause.Redis(said), said
	case answer.Protocol == "", answer.Protocol == portpeek.Redis && !wantsTLS, answer.Protocol == portpeek.TLS && wantsTLS:
		return "", ""
	case answer.Protocol == portpeek.TLS:
		return causeTLSWanted, "the port speaks TLS, and the Redis URL says redis://"
	case answer.Protocol == portpeek.Redis:
		return causeNoTLS, "the port speaks Redis without TLS, and the Redis URL says rediss://"
	}
	return causeNotRedis, host + " is not Redis, but " + answer.String()
}

// countDatabases returns a sentence about how many databases there are, or "" if an ACL forbids
// to ask.
func (c *Client) countDatabases(ctx context.Context) string {
	t := c.target.Load()
	universal, err := t.options.universal()
	if err != nil {
		return ""
	}
	universal.DB, universal.PoolSize, universal.MaxActiveConns = 0, 1, 1
	c.useTarget(universal)
	client := goredis.NewUniversalClient(universal)
	defer client.Close()
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	said, err := client.ConfigGet(ctx, "databases").Result()
	if n := said["databases"]; err == nil && n != "" {
		return fmt.Sprintf("; there is no database %d, since this Redis has %s, which are numbered from 0", c.database, n)
	}
	return fmt.Sprintf("; there is no database %d", c.database)
}

// databases returns how many databases there are, as far as it is known.
func (c *Client) databases() string {
	if v := c.found.databases.Load(); v != nil {
		return v.text
	}
	return ""
}
