package redis

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// A sender sends a batch of commands in one round trip and in order. In Redis Cluster it
// first sends the writes to the masters of their slots, and then all publishes through
// one node. go-redis would spread the publishes, which have no slot, over the nodes and
// so lose their order.
type sender struct {
	redis goredis.UniversalClient
	id    string // chooses, with node, the cluster node for publishes

	loaded uint32        // the node that has received the script
	node   atomic.Uint32 // changes when another connection or cluster node is to be used
	arena  []byte        // holds the values of the current batch
	cmds   []goredis.Cmder
}

func newSender(client goredis.UniversalClient) *sender {
	s := &sender{redis: client, id: rand.Text()[:12]}
	s.node.Store(1)
	return s
}

// reroute makes the following publishes go through another cluster node, and forgets
// which servers know the script.
func (s *sender) reroute() { s.node.Add(1) }

// send sends the batch and sets errs, which has the same length.
func (s *sender) send(ctx context.Context, batch []command, errs []error) {
	defer func() {
		if s.arena = s.arena[:0]; cap(s.arena) > 1<<20 {
			s.arena = nil
		}
	}()
	cluster, ok := s.redis.(*goredis.ClusterClient)
	if !ok {
		s.sendTo(ctx, s.redis, batch, errs, func(kind) bool { return true })
		return
	}
	isWrite := func(k kind) bool { return k == set || k == setIfNewer }
	s.sendTo(ctx, cluster, batch, errs, isWrite)
	node, err := cluster.MasterForKey(ctx, s.id+strconv.Itoa(int(s.node.Load())))
	if err != nil {
		for i := range batch {
			if !isWrite(batch[i].kind) {
				errs[i] = err
			}
		}
		return
	}
	s.sendTo(ctx, node, batch, errs, func(k kind) bool { return !isWrite(k) })
}

// sendTo sends the commands of the selected kinds.
func (s *sender) sendTo(ctx context.Context, to goredis.Cmdable, batch []command, errs []error, selected func(kind) bool) {
	pipe := to.Pipeline()
	node := s.node.Load()
	s.cmds = s.cmds[:0]
	for i := range batch {
		var cmd goredis.Cmder
		if selected(batch[i].kind) {
			cmd = s.add(ctx, pipe, &batch[i], s.loaded == node)
			if batch[i].kind == setIfNewer {
				s.loaded = node
			}
		}
		s.cmds = append(s.cmds, cmd)
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	again := to.Pipeline()
	for i, cmd := range s.cmds {
		if cmd == nil {
			continue
		}
		errs[i] = cmd.Err()
		if goredis.HasErrorPrefix(errs[i], "NOSCRIPT") { // the server lost the script
			s.cmds[i] = s.add(ctx, again, &batch[i], false)
		} else {
			s.cmds[i] = nil
		}
	}
	if again.Len() > 0 {
		_, _ = again.Exec(ctx)
		for i, cmd := range s.cmds {
			if cmd != nil {
				errs[i] = cmd.Err()
			}
		}
	}
	clear(s.cmds)
}

// add adds one command. Unless the server has the script it sends the whole script: a
// retry after NOSCRIPT would put the save after the publishes that follow it.
func (s *sender) add(ctx context.Context, pipe goredis.Pipeliner, c *command, loaded bool) goredis.Cmder {
	from := len(s.arena)
	switch c.kind {
	case publish, probe:
		return pipe.Publish(ctx, c.name, c.payload)
	case set:
		s.arena = appendPosition(s.arena, c)
		return pipe.Set(ctx, c.name, s.arena[from:], c.ttl)
	default:
		s.arena = appendPosition(s.arena, c)
		value, ttl := s.arena[from:len(s.arena):len(s.arena)], c.ttl.Milliseconds()
		if loaded {
			return savePosition.EvalSha(ctx, pipe, []string{c.name}, value, c.recorded, ttl)
		}
		return savePosition.Eval(ctx, pipe, []string{c.name}, value, c.recorded, ttl)
	}
}
