package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// roomSize is how many devices a room has: two of the customer's, two of the
// therapist's, and one that only looks on.
const roomSize = 5

// tokenTTL is longer than any run.
const tokenTTL = 7 * 24 * time.Hour

// A crowd is all clients of a run.
type crowd struct {
	devices []*device
	running sync.WaitGroup
	stop    context.CancelFunc
}

// gather makes the clients and connects them; close is what ends them. Few rooms
// are busy and some are nearly silent: in the latter nothing follows a message
// that was lost.
func (s *stage) gather(ctx context.Context, o Options) (*crowd, error) {
	c := &crowd{}
	rng := rand.New(rand.NewPCG(o.Seed, 3))
	var places []*place
	var weights float64
	for n := range o.Clients {
		i, seat := n/roomSize, n%roomSize
		if seat == 0 {
			places = append(places, &place{room: room.Room{Customer: customerOf(i), Therapist: therapistOf(i)}})
		}
		user := []room.UserID{customerOf(i), customerOf(i), therapistOf(i), therapistOf(i), support}[seat]
		d, err := s.device(fmt.Sprintf("room%02d-%c", i+1, 'a'+seat), user, places[i], rng.Uint64())
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		if d.gate.direct = seat == 1 || seat == 4; user != support {
			d.rate = weight(i)
		}
		weights += d.rate
		c.devices = append(c.devices, d)
	}
	for _, d := range c.devices {
		d.rate *= o.Rate / weights
	}
	c.start(ctx)
	return c, nil
}

// weight is how much is said in a room, compared with others.
func weight(n int) float64 {
	switch n % 6 {
	case 0:
		return 10
	case 4, 5:
		return 0.02
	default:
		return 3
	}
}

// device makes a client of a room.
func (s *stage) device(name string, user room.UserID, p *place, seed uint64) (*device, error) {
	token, _, err := s.keys.Mint(auth.Access, user, time.Now(), tokenTTL)
	if err != nil {
		return nil, err
	}
	g := &gate{addrs: s.addrs, rng: rand.New(rand.NewPCG(seed, 4))}
	return newDevice(name, user, p, g, token, filepath.Join(s.dir, judge.ClientsDir, name+".jsonl"))
}

// addrs lists where the replicas are: behind their links, or directly.
func (s *stage) addrs(direct bool) []string {
	var list []string
	for _, r := range s.replicas {
		if direct {
			list = append(list, r.addr)
		} else {
			list = append(list, r.front.Addr())
		}
	}
	return list
}

// start runs the sessions until close; only then does the end of ctx reach them.
func (c *crowd) start(ctx context.Context) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, d := range c.devices {
		c.running.Go(func() { d.run(ctx) })
	}
	c.running.Go(func() { c.flush(ctx) })
}

// flush writes what the histories hold back, so that little is missing if this
// process is killed.
func (c *crowd) flush(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, d := range c.devices {
				d.history.flush()
			}
		}
	}
}

// talk lets everybody speak until ctx ends.
func (c *crowd) talk(ctx context.Context) {
	var talking sync.WaitGroup
	for _, d := range c.devices {
		talking.Go(func() { d.talk(ctx) })
		talking.Go(func() { d.roam(ctx) })
	}
	talking.Wait()
}

// settle waits until everybody has seen everything, and is answered; for at most
// so long. It says nothing about whether they did: that is the judge's.
func (c *crowd) settle(ctx context.Context, most time.Duration) {
	limit := time.NewTimer(most + time.Second)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !c.quiet() {
		select {
		case <-tick.C:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *crowd) quiet() bool {
	for _, d := range c.devices {
		if !d.quiet() {
			return false
		}
	}
	return true
}

// some chooses a share of the clients, by chance of rng's; ok says who may be.
func (c *crowd) some(rng *rand.Rand, share float64, ok func(*device) bool) []*device {
	var list []*device
	for _, i := range rng.Perm(len(c.devices)) {
		if d := c.devices[i]; ok(d) {
			list = append(list, d)
		}
	}
	return list[:int(share*float64(len(list)))]
}

// close says goodbye for all clients and closes their histories.
func (c *crowd) close() error {
	var leaving sync.WaitGroup
	if c.stop != nil { // they were started
		for _, d := range c.devices {
			leaving.Go(d.leave)
		}
		leaving.Wait()
		c.stop()
		c.running.Wait()
	}
	var errs []error
	for _, d := range c.devices {
		errs = append(errs, d.history.Close())
	}
	return errors.Join(errs...)
}
