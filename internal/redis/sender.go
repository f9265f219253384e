package redis

import (
	"context"
	"strconv"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// version is the first byte of all that replicas leave for each other in Redis.
// A replica drops what carries one that it does not know.
const version = 1

// A pipeline sends commands to Redis in one round trip and in order. In Redis
// Cluster what is stored goes to the masters of its slots first, and then all
// publishes through one node: the library would scatter the publishes, which
// have no slot, over the nodes, and their order would be lost.
type pipeline struct {
	redis  goredis.UniversalClient
	id     string
	script *goredis.Script

	loaded uint32        // the node to which the script was sent in full
	node   atomic.Uint32 // changes when another connection or node is to be used
	arena  []byte        // of the values that are under way
	cmds   []goredis.Cmder
}

func newPipeline(client goredis.UniversalClient, id string) *pipeline {
	p := &pipeline{redis: client, id: id, script: goredis.NewScript(savePositionSource)}
	p.node.Store(1)
	return p
}

// elsewhere makes the next publishes go through another node of a cluster, and
// trusts no server any longer to know the script.
func (p *pipeline) elsewhere() { p.node.Add(1) }

// send sends ops and fills in errs, which is as long.
func (p *pipeline) send(ctx context.Context, ops []op, errs []error) {
	defer func() {
		if p.arena = p.arena[:0]; cap(p.arena) > 1<<20 {
			p.arena = nil
		}
	}()
	cluster, ok := p.redis.(*goredis.ClusterClient)
	if !ok {
		p.part(ctx, p.redis, ops, errs, func(kind) bool { return true })
		return
	}
	stores := func(k kind) bool { return k == set || k == setIfNewer }
	p.part(ctx, cluster, ops, errs, stores)
	through, err := cluster.MasterForKey(ctx, p.id+strconv.Itoa(int(p.node.Load())))
	if err != nil {
		for i := range ops {
			if !stores(ops[i].kind) {
				errs[i] = err
			}
		}
		return
	}
	p.part(ctx, through, ops, errs, func(k kind) bool { return !stores(k) })
}

// part sends the ops of the kinds that are wanted.
func (p *pipeline) part(ctx context.Context, to goredis.Cmdable, ops []op, errs []error, wanted func(kind) bool) {
	pipe := to.Pipeline()
	node := p.node.Load()
	p.cmds = p.cmds[:0]
	for i := range ops {
		var cmd goredis.Cmder
		if wanted(ops[i].kind) {
			cmd = p.add(ctx, pipe, &ops[i], p.loaded == node)
			if ops[i].kind == setIfNewer {
				p.loaded = node
			}
		}
		p.cmds = append(p.cmds, cmd)
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each command knows its own error
	again := to.Pipeline()
	for i, cmd := range p.cmds {
		if cmd == nil {
			continue
		}
		errs[i] = cmd.Err()
		if goredis.HasErrorPrefix(errs[i], "NOSCRIPT") { // the server has forgotten it
			p.cmds[i] = p.add(ctx, again, &ops[i], false)
		} else {
			p.cmds[i] = nil
		}
	}
	if again.Len() > 0 {
		_, _ = again.Exec(ctx)
		for i, cmd := range p.cmds {
			if cmd != nil {
				errs[i] = cmd.Err()
			}
		}
	}
	clear(p.cmds)
}

// add adds one op. The script goes along in full while the server may not know
// it: to be told so afterwards would cost a save its place before a publish.
func (p *pipeline) add(ctx context.Context, pipe goredis.Pipeliner, o *op, loaded bool) goredis.Cmder {
	from := len(p.arena)
	switch o.kind {
	case set:
		p.arena = appendPosition(p.arena, o)
		return pipe.Set(ctx, o.name, p.arena[from:], o.ttl)
	case setIfNewer:
		p.arena = appendPosition(p.arena, o)
		value, ttl := p.arena[from:len(p.arena):len(p.arena)], o.ttl.Milliseconds()
		if loaded {
			return p.script.EvalSha(ctx, pipe, []string{o.name}, value, o.recorded, ttl)
		}
		return p.script.Eval(ctx, pipe, []string{o.name}, value, o.recorded, ttl)
	default:
		p.arena = append(append(p.arena, version), o.payload...)
		return pipe.Publish(ctx, o.name, p.arena[from:])
	}
}
