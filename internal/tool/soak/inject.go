package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

// A process is a store or a replica whose process can be broken.
type process interface {
	Kill() error
	Pause() error
	Resume() error
	Restart(ctx context.Context) error
}

// inject injects one fault and returns when it is repaired.
func (r *runner) inject(ctx context.Context, f *fault) error {
	d := r.deployment
	replica := d.replicas[f.replica]
	rng := rand.New(rand.NewPCG(f.seed, 5))
	switch f.kind {
	case replicaKill:
		return kill(ctx, replica.program, f.duration)
	case replicaStop:
		return suspend(ctx, replica.program, f.duration)
	case replicaRestart:
		return restart(ctx, replica.program)
	case redisRestart:
		return restart(ctx, d.redis)
	case redisKill:
		return kill(ctx, d.redis, f.duration)
	case redisStop:
		return suspend(ctx, d.redis, f.duration)
	case redisFailover:
		return d.failOverRedis(ctx, f.duration)
	case redisClients:
		return killRedisClients(ctx, d.redisURL, []string{"pubsub", "normal", ""}[rng.IntN(3)])
	case pgRestart:
		return restart(ctx, d.postgres)
	case pgKill:
		return kill(ctx, d.postgres, f.duration)
	case pgStop:
		return suspend(ctx, d.postgres, f.duration)
	case pgFailover:
		return d.failOverPostgres(ctx, f.duration)
	case pgRestore:
		return r.restoreLater(ctx, f.duration)
	case pgReplace:
		ctx, cancel := repairContext(ctx)
		defer cancel()
		return r.rewind(ctx, func() error { return d.replace(ctx) })
	case lostCommit:
		return loseResponses(ctx, replica.postgres, f.duration)
	case redisCut, redisStall, redisDelay, redisLoss:
		return breakLink(ctx, replica.redis, f, rng)
	case pgCut, pgStall, pgDelay:
		return breakLink(ctx, replica.postgres, f, rng)
	case clientCut, clientStall, clientDelay:
		return breakLink(ctx, replica.front, f, rng)
	case vanish:
		r.disconnectClients(ctx, rng, f.duration)
	case slow:
		r.slowClients(ctx, rng, f.duration)
	default:
		return errors.New("unknown kind of fault")
	}
	return nil
}

func kill(ctx context.Context, p process, duration time.Duration) error {
	err := p.Kill()
	pause(ctx, duration)
	if err != nil {
		return err
	}
	return restart(ctx, p)
}

func restart(ctx context.Context, p process) error {
	ctx, cancel := repairContext(ctx)
	defer cancel()
	return p.Restart(ctx)
}

func suspend(ctx context.Context, p process, duration time.Duration) error {
	if err := p.Pause(); err != nil {
		return err
	}
	pause(ctx, duration)
	return p.Resume()
}

func breakLink(ctx context.Context, link *netfault.Proxy, f *fault, rng *rand.Rand) error {
	defer link.Heal()
	switch f.kind {
	case redisCut, pgCut, clientCut:
		link.Cut()
	case redisStall, pgStall, clientStall:
		[]func(){link.Stall, link.StallUp, link.StallDown}[rng.IntN(3)]()
	case redisLoss:
		link.DropPublished(10)
	default:
		link.Delay(time.Duration(20+rng.IntN(500)) * time.Millisecond)
	}
	pause(ctx, f.duration)
	return nil
}

// loseResponses lets statements reach Postgres but loses its responses: it holds them back
// and then cuts the connections.
func loseResponses(ctx context.Context, link *netfault.Proxy, duration time.Duration) error {
	defer link.Heal()
	link.StallDown()
	before := link.Counts().Up
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second) // the replica may have nothing to send
	for link.Counts().Up == before {
		select {
		case <-tick.C:
			continue
		case <-limit:
		case <-ctx.Done():
		}
		break
	}
	pause(ctx, duration) // the commit happens meanwhile
	link.Cut()
	return nil
}

// killRedisClients cuts connections from the server's side (CLIENT KILL), those of one type
// or all of them. go-redis reconnects at once and may not notice what it has missed.
func killRedisClients(ctx context.Context, url, kind string) error {
	ctx, cancel := repairContext(ctx)
	defer cancel()
	o, err := goredis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("parse the URL of Redis: %w", err)
	}
	o.PoolSize, o.DisableIdentity = 1, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := goredis.NewClient(o)
	filter := []string{"SKIPME", "yes"}
	if kind != "" {
		filter = append(filter, "TYPE", kind)
	}
	if err := errors.Join(c.ClientKillByFilter(ctx, filter...).Err(), c.Close()); err != nil {
		return fmt.Errorf("kill Redis connections: %w", err)
	}
	return nil
}

// disconnectClients takes half of the clients off the network. Half of these close no
// connection, so that only a ping reveals it. All come back with a new connection.
func (r *runner) disconnectClients(ctx context.Context, rng *rand.Rand, duration time.Duration) {
	chosen := r.crowd.sample(rng, 0.5, func(*device) bool { return true })
	for i, d := range chosen {
		d.network.disconnect(i%2 == 0)
		d.drop()
	}
	pause(ctx, duration)
	for _, d := range chosen {
		d.network.reconnect()
	}
}

// slowClients makes half of the clients with small buffers read nothing, or very slowly.
func (r *runner) slowClients(ctx context.Context, rng *rand.Rand, duration time.Duration) {
	chosen := r.crowd.sample(rng, 0.5, func(d *device) bool { return d.network.direct })
	for i, d := range chosen {
		d.network.slowDown(i%2 == 0)
	}
	pause(ctx, duration)
	for _, d := range chosen {
		d.network.speedUp()
	}
}
