package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

// A server is a store or a replica, as one breaks it.
type server interface {
	Kill() error
	Pause() error
	Resume() error
	Restart(ctx context.Context) error
}

// act carries out one fault, and returns when it is mended.
func (d *director) act(ctx context.Context, f *fault) error {
	s := d.stage
	r := s.replicas[f.replica]
	rng := rand.New(rand.NewPCG(f.seed, 5))
	switch f.kind {
	case replicaKill:
		return kill(ctx, r.program, f.lasts)
	case replicaStop:
		return stop(ctx, r.program, f.lasts)
	case replicaRestart:
		return restart(ctx, r.program)
	case redisRestart:
		return restart(ctx, s.redis)
	case redisKill:
		return kill(ctx, s.redis, f.lasts)
	case redisStop:
		return stop(ctx, s.redis, f.lasts)
	case redisClients:
		return killClients(ctx, s.redisURL, []string{"pubsub", "normal", ""}[rng.IntN(3)])
	case pgRestart:
		return restart(ctx, s.postgres)
	case pgKill:
		return kill(ctx, s.postgres, f.lasts)
	case pgStop:
		return stop(ctx, s.postgres, f.lasts)
	case lostCommit:
		return loseAnswers(ctx, r.postgres, f.lasts)
	case redisCut, redisStall, redisDelay:
		return disturb(ctx, r.redis, f, rng)
	case pgCut, pgStall, pgDelay:
		return disturb(ctx, r.postgres, f, rng)
	case clientCut, clientStall, clientDelay:
		return disturb(ctx, r.front, f, rng)
	case vanish:
		d.vanish(ctx, rng, f.lasts)
	case slow:
		d.slow(ctx, rng, f.lasts)
	default:
		return fmt.Errorf("nobody knows how to do that")
	}
	return nil
}

func kill(ctx context.Context, s server, lasts time.Duration) error {
	err := s.Kill()
	pause(ctx, lasts)
	if err != nil {
		return err
	}
	return restart(ctx, s)
}

func restart(ctx context.Context, s server) error {
	ctx, cancel := mending(ctx)
	defer cancel()
	return s.Restart(ctx)
}

func stop(ctx context.Context, s server, lasts time.Duration) error {
	if err := s.Pause(); err != nil {
		return err
	}
	pause(ctx, lasts)
	return s.Resume()
}

// disturb breaks a link.
func disturb(ctx context.Context, link *netfault.Proxy, f *fault, rng *rand.Rand) error {
	defer link.Heal()
	switch f.kind {
	case redisCut, pgCut, clientCut:
		link.Cut()
	case redisStall, pgStall, clientStall:
		[]func(){link.Stall, link.StallUp, link.StallDown}[rng.IntN(3)]()
	default:
		link.Delay(time.Duration(20+rng.IntN(500)) * time.Millisecond)
	}
	pause(ctx, f.lasts)
	return nil
}

// loseAnswers lets statements reach Postgres, which carries them out, and loses
// what it answers: first nothing comes back, then the connections are gone.
func loseAnswers(ctx context.Context, link *netfault.Proxy, lasts time.Duration) error {
	defer link.Heal()
	link.StallDown()
	before := link.Counts().Up
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second) // the replica may have nothing to ask
	for link.Counts().Up == before {
		select {
		case <-tick.C:
			continue
		case <-limit:
		case <-ctx.Done():
		}
		break
	}
	pause(ctx, lasts) // the commit
	link.Cut()
	return nil
}

// vanish takes some clients off the net. Half of them go without a word, so that
// only a ping finds out; all come back with a new connection, and resume.
func (d *director) vanish(ctx context.Context, rng *rand.Rand, lasts time.Duration) {
	gone := d.crowd.some(rng, 0.5, func(*device) bool { return true })
	for i, c := range gone {
		c.gate.leave(i%2 == 0)
		c.drop()
	}
	pause(ctx, lasts)
	for _, c := range gone {
		c.gate.comeBack()
	}
}

// slow makes clients of small buffers read nothing, or a little, for a while.
func (d *director) slow(ctx context.Context, rng *rand.Rand, lasts time.Duration) {
	late := d.crowd.some(rng, 0.5, func(c *device) bool { return c.gate.direct })
	for i, c := range late {
		c.gate.slowDown(i%2 == 0)
	}
	pause(ctx, lasts)
	for _, c := range late {
		c.gate.hurry()
	}
}
