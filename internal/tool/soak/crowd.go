package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// seats are the devices of a room: two of each side, which send, one of support and an inbox of
// each side, which only receive.
var seats = [...]seat{
	{}, {direct: true}, {therapist: true}, {therapist: true}, {support: true, direct: true}, {inbox: true}, {therapist: true, inbox: true},
}

const (
	roomSize = len(seats)
	senders  = 4 // in a room
)

// classicSeats are the devices of apps of the predecessor, which are added to the rooms in turn.
var classicSeats = [...]seat{{classic: true}, {therapist: true, classic: true}, {classic: true, direct: true}, {therapist: true, classic: true, direct: true}}

// jsSeats are the devices with the JavaScript client, which are added to the rooms in turn.
var jsSeats = [...]seat{{js: true}, {therapist: true, js: true}, {js: true, direct: true}}

// jsDevice makes the n-th device with the JavaScript client in the room with an index.
func (d *deployment) jsDevice(i, n int, r *roomState, seed uint64) (*device, error) {
	return d.newDevice(fmt.Sprintf("room%02d-js%d", i+1, n+1), jsSeats[n%len(jsSeats)], r, seed)
}

// seatDevice makes the device of a seat of the room with an index.
func (d *deployment) seatDevice(i, seat int, r *roomState, seed uint64) (*device, error) {
	return d.newDevice(fmt.Sprintf("room%02d-%c", i+1, 'a'+seat), seats[seat], r, seed)
}

// classicDevice makes the n-th device of an app of the predecessor in the room with an index.
func (d *deployment) classicDevice(i, n int, r *roomState, seed uint64) (*device, error) {
	return d.newDevice(fmt.Sprintf("room%02d-classic%d", i+1, n+1), classicSeats[n%len(classicSeats)], r, seed)
}

// tokenTTL is longer than any run.
const tokenTTL = 7 * 24 * time.Hour

// A crowd is all devices of a run.
type crowd struct {
	devices []*device
	rooms   []*roomState
	running sync.WaitGroup
	stop    context.CancelFunc
}

// startCrowd makes the devices and connects them. Few rooms have many messages, and some
// have hardly any: there, no later message reveals a lost one.
func (d *deployment) startCrowd(ctx context.Context, o Options) (*crowd, error) {
	c := &crowd{}
	rng := rand.New(rand.NewPCG(o.Seed, 3))
	var weights float64
	add := func(dev *device, err error, rate float64) error {
		if err != nil {
			return errors.Join(err, c.close())
		}
		dev.rate = rate
		weights += rate
		c.devices = append(c.devices, dev)
		return nil
	}
	for n := range o.Clients {
		i, seat := n/roomSize, n%roomSize
		rate := 0.0
		if seat == 0 {
			c.rooms = append(c.rooms, &roomState{room: room.Room{Customer: customerOf(i), Therapist: therapistOf(i)}})
		}
		if seat < senders {
			rate = roomWeight(i)
		}
		dev, err := d.seatDevice(i, seat, c.rooms[i], rng.Uint64())
		if err := add(dev, err, rate); err != nil {
			return nil, err
		}
	}
	for n := range o.Classic {
		i := n % len(c.rooms)
		dev, err := d.classicDevice(i, n/len(c.rooms), c.rooms[i], rng.Uint64())
		if err := add(dev, err, roomWeight(i)); err != nil {
			return nil, err
		}
	}
	for n := range o.JS {
		i := n % len(c.rooms)
		dev, err := d.jsDevice(i, n/len(c.rooms), c.rooms[i], rng.Uint64())
		if err == nil {
			dev.session.(*node).program = d.js
		}
		if err := add(dev, err, roomWeight(i)); err != nil {
			return nil, err
		}
	}
	for _, dev := range c.devices {
		dev.rate *= o.Rate / weights
	}
	c.start(ctx)
	return c, nil
}

// roomWeight returns the message rate of a room relative to other rooms.
func roomWeight(n int) float64 {
	switch n % 6 {
	case 0:
		return 10
	case 4, 5:
		return 0.02
	default:
		return 3
	}
}

// newDevice makes the device of a seat in a room.
func (d *deployment) newDevice(name string, s seat, r *roomState, seed uint64) (*device, error) {
	user := r.room.Customer
	switch {
	case s.support:
		user = support
	case s.therapist:
		user = r.room.Therapist
	}
	token, _, err := d.keys.Mint(auth.Access, user, time.Now(), tokenTTL)
	if err != nil {
		return nil, err
	}
	n := &network{addrs: d.addrs, direct: s.direct, rng: rand.New(rand.NewPCG(seed, 4))}
	return newDevice(name, user, s, r, n, token, filepath.Join(d.dir, judge.ClientsDir, name+".jsonl"))
}

// addrs returns the addresses of the replicas, or those of the links in front of them.
func (d *deployment) addrs(direct bool) []string {
	var list []string
	for _, r := range d.replicas {
		if direct {
			list = append(list, r.addr)
		} else {
			list = append(list, r.front.Addr())
		}
	}
	return list
}

// start runs the sessions until close. They do not end with ctx.
func (c *crowd) start(ctx context.Context) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, d := range c.devices {
		c.running.Go(func() { d.run(ctx) })
		if !d.classic {
			c.running.Go(func() { d.markAll(ctx) })
		}
	}
	c.running.Go(func() { c.flushHistories(ctx) })
}

// flushHistories writes buffered entries every second, so that few are lost if this process
// is killed.
func (c *crowd) flushHistories(ctx context.Context) {
	for pause(ctx, time.Second) {
		for _, d := range c.devices {
			d.history.flush()
		}
	}
}

// sendAll lets all devices send and roam until ctx ends.
func (c *crowd) sendAll(ctx context.Context) {
	var sending sync.WaitGroup
	for _, d := range c.devices {
		sending.Go(func() { d.sendAtRate(ctx) })
		sending.Go(func() { d.roam(ctx) })
	}
	sending.Wait()
}

// waitIdle waits until all devices have received everything, and agree with the database on the
// state of their conversations, at most for a limit. The judge decides whether they do.
func (c *crowd) waitIdle(ctx context.Context, limit time.Duration, databaseURL string) {
	ctx, cancel := context.WithTimeout(ctx, limit+time.Second)
	defer cancel()
	for !c.isIdle(ctx, databaseURL) && pause(ctx, 50*time.Millisecond) {
	}
}

func (c *crowd) isIdle(ctx context.Context, databaseURL string) bool {
	if slices.ContainsFunc(c.devices, func(d *device) bool { return !d.isIdle() }) {
		return false
	}
	stored, err := readStored(ctx, databaseURL)
	if err != nil {
		return false
	}
	settled := true
	for _, d := range c.devices {
		settled = d.isSettled(stored) && settled // each classic device must be asked: it may send a probe
	}
	return settled
}

// sample chooses a random share of the devices for which ok is true.
func (c *crowd) sample(rng *rand.Rand, share float64, ok func(*device) bool) []*device {
	var list []*device
	for _, i := range rng.Perm(len(c.devices)) {
		if d := c.devices[i]; ok(d) {
			list = append(list, d)
		}
	}
	return list[:int(share*float64(len(list)))]
}

// close ends all sessions and closes their histories.
func (c *crowd) close() error {
	if c.stop != nil { // started
		var closing sync.WaitGroup
		for _, d := range c.devices {
			closing.Go(d.close)
		}
		closing.Wait()
		c.stop()
		c.running.Wait()
	}
	var errs []error
	for _, d := range c.devices {
		errs = append(errs, d.history.Close())
	}
	return errors.Join(errs...)
}
