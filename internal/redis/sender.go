package redis

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// maxRedirects is how often a batch is sent again because its slot has moved meanwhile.
const maxRedirects = 2

// A sender sends a batch of commands in few round trips and in order. In Redis Cluster it first
// sends the writes to the masters of their slots, and then all publishes, PUBLISH and SPUBLISH
// each through one node. go-redis would spread those without a slot over the nodes and so lose
// their order, and it would repeat those whose answer was lost.
type sender struct {
	client *Client
	id     string // chooses, with node, the cluster node for PUBLISH

	node    atomic.Uint32 // changes when another connection or cluster node is to be used
	cmds    []goredis.Cmder
	sharded []error // of SPUBLISH
}

func newSender(c *Client) *sender {
	s := &sender{client: c, id: rand.Text()[:12]}
	s.node.Store(1)
	return s
}

// reroute makes the following PUBLISH commands go through another cluster node.
func (s *sender) reroute() { s.node.Add(1) }

// send sends the batch and sets errs, which has the same length and no errors.
func (s *sender) send(ctx context.Context, batch []command, errs []error) {
	cluster, ok := s.client.redis.(*goredis.ClusterClient)
	if !ok {
		s.sendTo(ctx, s.client.redis, batch, errs, func(c *command, pipe goredis.Pipeliner) goredis.Cmder {
			if c.kind == set {
				return c.set(ctx, pipe)
			}
			return pipe.Publish(ctx, c.name, c.payload)
		})
		return
	}
	s.sendTo(ctx, cluster, batch, errs, func(c *command, pipe goredis.Pipeliner) goredis.Cmder {
		if c.kind != set {
			return nil
		}
		return c.set(ctx, pipe)
	})
	how := s.client.publishing.Load()
	s.sendPlain(ctx, cluster, batch, errs, how.Plain)
	if !how.Sharded {
		return
	}
	s.sharded = append(s.sharded[:0], make([]error, len(batch))...)
	s.sendSharded(ctx, cluster, batch, s.sharded)
	for i, err := range s.sharded {
		if errs[i] == nil && (!how.Plain || !refusesSharding(err)) {
			errs[i] = err
		}
	}
}

// sendPlain sends PUBLISH commands: those of announcements, or all of them.
func (s *sender) sendPlain(ctx context.Context, cluster *goredis.ClusterClient, batch []command, errs []error, all bool) {
	selected := func(c *command) bool { return c.kind == announce || all && c.kind != set }
	if firstOf(batch, selected) < 0 {
		return
	}
	node, err := cluster.MasterForKey(ctx, s.id+strconv.Itoa(int(s.node.Load())))
	if err != nil {
		fail(batch, errs, selected, err)
		return
	}
	s.sendTo(ctx, node, batch, errs, func(c *command, pipe goredis.Pipeliner) goredis.Cmder {
		if !selected(c) {
			return nil
		}
		return pipe.Publish(ctx, c.name, c.payload)
	})
}

// sendSharded sends SPUBLISH commands, whose channels are all in one slot. A node that does not
// serve the slot any more answers MOVED and executes nothing, so these commands are sent again,
// in order.
func (s *sender) sendSharded(ctx context.Context, cluster *goredis.ClusterClient, batch []command, errs []error) {
	selected := func(c *command) bool { return c.kind == publish || c.kind == probe }
	for attempt := 0; ; attempt++ {
		first := firstOf(batch, selected)
		if first < 0 {
			return
		}
		node, err := cluster.MasterForKey(ctx, batch[first].name)
		if err != nil {
			fail(batch, errs, selected, err)
			return
		}
		s.sendTo(ctx, node, batch, errs, func(c *command, pipe goredis.Pipeliner) goredis.Cmder {
			if !selected(c) {
				return nil
			}
			return pipe.SPublish(ctx, c.name, c.payload)
		})
		if attempt == maxRedirects || !slices.ContainsFunc(errs, isMoved) {
			return
		}
		moved := map[*command]bool{}
		for i := range errs {
			if isMoved(errs[i]) {
				moved[&batch[i]], errs[i] = true, nil
			}
		}
		selected = func(c *command) bool { return moved[c] }
		// This reads which node serves which slot before it calls the function.
		_ = cluster.ForEachMaster(ctx, func(context.Context, *goredis.Client) error { return nil })
	}
}

// sendTo sends the commands that queue puts into a pipeline, and sets the errors of those. queue
// returns nil for other ones.
func (s *sender) sendTo(ctx context.Context, to goredis.Cmdable, batch []command, errs []error, queue func(*command, goredis.Pipeliner) goredis.Cmder) {
	pipe := to.Pipeline()
	s.cmds = s.cmds[:0]
	for i := range batch {
		s.cmds = append(s.cmds, queue(&batch[i], pipe))
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, cmd := range s.cmds {
		if cmd != nil && errs[i] == nil {
			errs[i] = cmd.Err()
		}
	}
	clear(s.cmds)
}

func (c *command) set(ctx context.Context, pipe goredis.Pipeliner) goredis.Cmder {
	return pipe.Set(ctx, c.name, c.payload, c.ttl)
}

// firstOf returns the index of the first selected command, or -1.
func firstOf(batch []command, selected func(*command) bool) int {
	for i := range batch {
		if selected(&batch[i]) {
			return i
		}
	}
	return -1
}

// fail sets the error of the selected commands.
func fail(batch []command, errs []error, selected func(*command) bool, err error) {
	for i := range batch {
		if selected(&batch[i]) {
			errs[i] = err
		}
	}
}
