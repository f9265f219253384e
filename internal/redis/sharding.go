package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// ErrMoved means that a hash slot of Redis Cluster has moved to another node. Subscribe again.
var ErrMoved = errors.New("the hash slot has moved to another node")

// probeInterval is how often a refusal of sharded Pub/Sub is verified. Each attempt that an ACL
// denies is an entry in the ACL LOG.
const probeInterval = time.Minute

// Publishing says which commands publish events in mode cluster. The other modes always use
// PUBLISH.
type Publishing struct{ Plain, Sharded bool }

// SetPublishing sets which commands publish events in mode cluster. Default: PUBLISH alone. It
// counts from the next round trip of each pipeline on.
func (c *Client) SetPublishing(p Publishing) { c.publishing.Store(&p) }

// Shards returns the number of shards: the number of hash tags in mode cluster, else 1. Each
// shard has a [Pipeline] and should have a [Subscription] of its own, because a connection can
// be subscribed only to shard channels that its node serves.
func (c *Client) Shards() int { return len(c.Pipelines) }

// ShardOf returns the shard of a group.
func (c *Client) ShardOf(group string) int { return tagOf(group) % len(c.Pipelines) }

// ShardName returns the name of a channel that belongs to one shard, for a group that has one
// channel in each shard.
func (c *Client) ShardName(base string, shard int, group string) string {
	if len(c.Pipelines) == 1 {
		shard = tagOf(group)
	}
	return nameIn(base, shard, group)
}

// sharding is what is known about sharded Pub/Sub on the servers.
type sharding struct {
	mu       sync.Mutex
	can      bool
	refusal  error // why not
	verified time.Time
}

// CanShard returns nil if sharded Pub/Sub can be used: the mode is cluster, every master knows
// it, and the ACL allows it. Otherwise the error says why not. It asks the servers at first, and
// once a minute while they refuse. While they do not answer it returns nil, since then no kind
// of Pub/Sub works.
func (c *Client) CanShard(ctx context.Context) error {
	cluster, ok := c.redis.(*goredis.ClusterClient)
	if !ok {
		return errors.New("--redis-mode is not cluster")
	}
	s := &c.sharding
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.can || time.Since(s.verified) < probeInterval {
		return s.refusal
	}
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
		return c.tryShard(ctx, node, c.prefix+"deployments") // any name serves
	})
	switch {
	case err == nil:
		s.can, s.refusal = true, nil
	case refusesSharding(err):
		s.refusal, s.verified = c.shardingRefusal(err), time.Now()
	}
	return s.refusal
}

// tryShard tries on one node the commands of sharded Pub/Sub, with a channel that another node
// may serve. Nobody listens on it.
func (c *Client) tryShard(ctx context.Context, node *goredis.Client, channel string) error {
	if err := node.SPublish(ctx, channel, "").Err(); err != nil && !isMoved(err) {
		return err //nolint:wrapcheck // the caller does
	}
	s := node.SSubscribe(ctx)
	defer s.Close()
	for _, send := range []func(context.Context, ...string) error{s.SSubscribe, s.SUnsubscribe} {
		if err := send(ctx, channel); err != nil {
			return err //nolint:wrapcheck // the caller does
		}
		if _, err := s.ReceiveTimeout(ctx, c.timeout); err != nil && !isMoved(err) {
			return err //nolint:wrapcheck // the caller does
		}
	}
	return nil
}

// refusesSharding reports whether a server will never accept a command of sharded Pub/Sub.
func refusesSharding(err error) bool {
	return isUnknownCommand(err) || goredis.HasErrorPrefix(err, "NOPERM")
}

func isUnknownCommand(err error) bool {
	return isAnswer(err) && strings.Contains(err.Error(), "unknown command")
}

// shardingRefusal returns in words why the servers refuse sharded Pub/Sub.
func (c *Client) shardingRefusal(err error) error {
	if isUnknownCommand(err) {
		err = &explained{"a node is older than Redis 7 and has no sharded Pub/Sub (" + err.Error() + ")", causeNotSharded, err}
	}
	return c.explain(err)
}

// isMoved reports whether a node answered that another one serves the slot.
func isMoved(err error) bool { return goredis.HasErrorPrefix(err, "MOVED") }

// reloadSlots makes the client read soon which node serves which slot. It does nothing but in
// mode cluster.
func (c *Client) reloadSlots(ctx context.Context) {
	if cluster, ok := c.redis.(*goredis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// Reroute makes the next commands of a shard use another connection or node, and reads again
// which node serves which slot.
func (c *Client) Reroute(ctx context.Context, shard int) {
	c.Pipelines[shard].sender.reroute()
	c.reloadSlots(ctx)
}
