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

	node atomic.Uint32 // changes when another connection or cluster node is to be used
	cmds []goredis.Cmder
}

func newSender(client goredis.UniversalClient) *sender {
	s := &sender{redis: client, id: rand.Text()[:12]}
	s.node.Store(1)
	return s
}

// reroute makes the following publishes go through another cluster node.
func (s *sender) reroute() { s.node.Add(1) }

// send sends the batch and sets errs, which has the same length.
func (s *sender) send(ctx context.Context, batch []command, errs []error) {
	cluster, ok := s.redis.(*goredis.ClusterClient)
	if !ok {
		s.sendTo(ctx, s.redis, batch, errs, func(kind) bool { return true })
		return
	}
	isWrite := func(k kind) bool { return k == set }
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
	s.cmds = s.cmds[:0]
	for i := range batch {
		var cmd goredis.Cmder
		if c := &batch[i]; selected(c.kind) && c.kind == set {
			cmd = pipe.Set(ctx, c.name, c.payload, c.ttl)
		} else if selected(c.kind) {
			cmd = pipe.Publish(ctx, c.name, c.payload)
		}
		s.cmds = append(s.cmds, cmd)
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, cmd := range s.cmds {
		if cmd != nil {
			errs[i] = cmd.Err()
		}
	}
	clear(s.cmds)
}
