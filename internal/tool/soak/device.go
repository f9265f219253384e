package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

const (
	// unacknowledged bounds what a device sends ahead.
	unacknowledged = 60
	// tooLong bounds how long a device waits for a handshake, and for a peer that
	// says nothing.
	tooLong = 3 * time.Second
	// roams is the mean time after which a device changes its network, as phones
	// do: a new connection, and often to another replica.
	roams = 100 * time.Second
	// backoff is much shorter than a real client's: a run has little time.
	backoff = 3 * time.Second
)

// A place is a room, and the last message that anybody there knows of.
type place struct {
	room room.Room
	last atomic.Int64
}

func (p *place) knows(seq int64) {
	for {
		last := p.last.Load()
		if seq <= last || p.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// A device is one client: a session, its way out, and its history.
type device struct {
	name    string
	user    room.UserID
	place   *place
	rate    float64 // messages a second; 0 only listens
	gate    *gate
	session *client.Session
	history *History
	rng     *rand.Rand // of what it says and when

	sockets, acknowledged atomic.Int64
	connected             atomic.Bool
	dropped               sync.WaitGroup
}

// newDevice makes a device that writes its history to path.
func newDevice(name string, user room.UserID, p *place, g *gate, token, path string) (*device, error) {
	h, err := NewHistory(path)
	if err != nil {
		return nil, err
	}
	d := &device{name: name, user: user, place: p, gate: g, history: h, rng: rand.New(rand.NewPCG(g.rng.Uint64(), 2))}
	h.Add(judge.Entry{
		Kind: judge.Begins, Client: name, User: int64(user),
		Customer: int64(p.room.Customer), Therapist: int64(p.room.Therapist),
	})
	d.session = client.NewSession(client.SessionOptions{
		Socket: client.Options{
			URL:   fmt.Sprintf("ws://roomspa.test/ws/chat/%d/%d/", p.room.Customer, p.room.Therapist),
			Token: token, NetDial: g.dial, DialTimeout: tooLong, KeepAlive: tooLong,
		},
		On: d.on, Record: d.record, MaxUnacknowledged: unacknowledged, Rate: -1, MaxBackoff: backoff,
	})
	return d, nil
}

func (d *device) record(r client.Record) {
	switch r.Kind { //nolint:exhaustive // the others are written down, and mean nothing here
	case client.RecordConnected:
		d.sockets.Add(1)
		d.connected.Store(true)
		d.place.knows(r.Seq)
	case client.RecordClosed:
		d.connected.Store(false)
	case client.RecordAcknowledged:
		d.acknowledged.Add(1)
		d.place.knows(r.Seq)
	default:
	}
	d.history.Record(r)
}

func (d *device) on(e client.Event) {
	if e.Kind == client.GaveUp {
		d.history.Add(judge.Entry{Kind: judge.GaveUp, Ref: e.Ref, Detail: e.Err.Error()})
	}
}

// run runs the session until leave, or until it gives up.
func (d *device) run(ctx context.Context) {
	if err := d.session.Run(ctx); err == nil {
		d.history.Add(judge.Entry{Kind: judge.Stayed})
	}
}

// talk sends at the device's rate until ctx ends, now and then in a burst.
func (d *device) talk(ctx context.Context) {
	if d.rate <= 0 {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; {
		timer.Reset(time.Duration(d.rng.ExpFloat64() / d.rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		burst := 1
		if d.rng.IntN(300) == 0 {
			burst = unacknowledged
		}
		for range burst {
			// The box is full while a store is away: what is not said is not missed.
			if d.say(fmt.Sprintf("%s-%d", d.name, n)) != nil {
				break
			}
			n++
		}
	}
}

// roam loses the connection now and then until ctx ends.
func (d *device) roam(ctx context.Context) {
	for pause(ctx, time.Duration(rand.ExpFloat64()*float64(roams))) {
		d.drop()
	}
}

// say sends one message under an id, of a text that is often short.
func (d *device) say(id string) error {
	length := d.rng.IntN(80)
	switch d.rng.IntN(100) {
	case 0:
		length = 3500
	case 1, 2, 3, 4:
		length = d.rng.IntN(600)
	}
	_, err := d.session.SendMessage(id+strings.Repeat(" ü", length/2), id)
	return err
}

// drop loses the connection; it returns at once.
func (d *device) drop() {
	d.dropped.Go(func() { d.session.Drop() })
}

// quiet reports whether the device has seen all that anybody knows of, and has
// nothing more to say.
func (d *device) quiet() bool {
	seen, known := d.session.Highest()
	return known && d.connected.Load() && d.session.Unacknowledged() == 0 && seen >= d.place.last.Load()
}

// leave ends the session and returns when it has ended, at most a few seconds
// later.
func (d *device) leave() {
	d.gate.comeBack()
	d.gate.hurry()
	d.session.Close(1000, "")
	<-d.session.Done()
	d.dropped.Wait()
	d.gate.close()
}
