package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// checkLife is how long the keys of a check live.
const checkLife = time.Second

var (
	errIsCluster  = errors.New("this Redis is a cluster, and --redis-mode is not cluster")
	errIsSentinel = errors.New("this is a sentinel, and --redis-mode is not sentinel")
)

// CheckWrite tries every kind of command that the product uses, but for PUBLISH and SUBSCRIBE, on
// keys of its own that expire after a second: a server may answer PING and still refuse writes,
// scripts or lists. It tries every hash tag, and asks whether the server is a cluster although
// the mode is another one. It uses the connections of Ping. Errors wrap [room.ErrUnavailable].
// PUBLISH may work nevertheless.
func (c *Client) CheckWrite(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r, err := c.ring("SET")
	if err != nil {
		return err
	}
	if err := c.checkMode(ctx); err != nil {
		return c.unavailable("INFO", err)
	}
	base, tail := c.Base(&r.Deployment), "check:"+c.replica
	cmds, _ := c.checks.Pipelined(ctx, func(p goredis.Pipeliner) error { // each command has its own error
		for tag := range tags {
			p.Set(ctx, base+"{"+strconv.Itoa(tag)+"}:"+tail, "", checkLife)
		}
		tryCommands(ctx, p, c.name(&r.Deployment, "check", ":"+c.replica))
		return nil
	})
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, goredis.Nil) {
			return c.unavailable(strings.ToUpper(cmd.Name()), err)
		}
	}
	return nil
}

// tryCommands queues each command that the product uses with a key.
func tryCommands(ctx context.Context, p goredis.Pipeliner, key string) {
	list, count := key+":list", key+":count"
	p.Set(ctx, key, "", checkLife)
	p.Get(ctx, key)
	p.GetRange(ctx, key, 0, 0)
	p.MGet(ctx, key, list+":none")
	p.GetDel(ctx, key)
	p.LPush(ctx, list, "")
	p.LTrim(ctx, list, 0, 0)
	p.LRange(ctx, list, 0, 0)
	p.Expire(ctx, list, checkLife)
	takeScript.Eval(ctx, p, []string{count}, time.Millisecond.Microseconds(), 1)
	takeScript.EvalSha(ctx, p, []string{count}, time.Millisecond.Microseconds(), 1)
	giveScript.Eval(ctx, p, []string{count}, time.Second.Microseconds()) // which deletes the key
}

// CheckAccess is CheckWrite, but returns only errors that time does not heal: an ACL that denies a
// command, or a cluster that was not declared.
func (c *Client) CheckAccess(ctx context.Context) error {
	err := c.CheckWrite(ctx)
	if f, ok := errors.AsType[*failure](err); ok {
		switch f.Cause() {
		case causePermission, causeSubscribe, causeCluster, causeSentinel:
			return err
		}
	}
	return nil
}

// CheckMode returns an error that wraps [room.ErrUnavailable] if the server is of another kind than
// the mode says, as far as it tells.
func (c *Client) CheckMode(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.checkMode(ctx); err != nil {
		return c.unavailable("INFO", err)
	}
	return nil
}

// checkMode returns an error if the server is of another kind than the mode says. It returns nil
// if the server does not tell: an ACL may forbid INFO. In a cluster the commands then show it.
func (c *Client) checkMode(ctx context.Context) error {
	switch mode := c.serverInfo(ctx, "redis_mode"); {
	case mode == "cluster" && !c.isCluster():
		return errIsCluster
	case mode == "sentinel":
		return errIsSentinel
	}
	return nil
}

// ServerVersion returns the version of the Redis server, or "" if it is unknown: an ACL may
// forbid INFO.
func (c *Client) ServerVersion(ctx context.Context) string {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	return c.serverInfo(ctx, "redis_version")
}

func (c *Client) serverInfo(ctx context.Context, field string) string {
	return c.info(ctx, "server", field)
}

// info returns a field of a section of INFO, or "" if the server does not tell.
func (c *Client) info(ctx context.Context, section, field string) string {
	if c.noInfo.Load() {
		return ""
	}
	info, err := c.checks.Info(ctx, section).Result()
	if err != nil {
		c.noInfo.Store(goredis.HasErrorPrefix(err, "NOPERM")) // more attempts would fill the ACL LOG
		return ""
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
