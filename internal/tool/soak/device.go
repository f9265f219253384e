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
	// maxUnacknowledged bounds the number of unacknowledged messages of a device.
	maxUnacknowledged = 60
	// clientTimeout bounds a handshake and the silence of the server.
	clientTimeout = 3 * time.Second
	// meanRoaming is the mean time after which a device changes its network, as phones do.
	// The new connection often leads to another replica.
	meanRoaming = 100 * time.Second
	// maxBackoff is much shorter than a real client's, because a run is short.
	maxBackoff = 3 * time.Second
)

// A roomState is a room, with the highest seq that any of its devices knows.
type roomState struct {
	room room.Room
	last atomic.Int64
}

func (r *roomState) advance(seq int64) {
	for {
		last := r.last.Load()
		if seq <= last || r.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// A session is a *client.Session, or that of an app of the predecessor or of the JavaScript client.
type session interface {
	Run(ctx context.Context) error
	SendMessage(text, id string) (string, error)
	Send(text []byte) error
	Unacknowledged() int
	Highest() (seq int64, known bool)
	Drop() bool
	Close(code int, reason string)
	Done() <-chan struct{}
}

// A device is one client: a session with its network and its history.
type device struct {
	name    string
	user    room.UserID
	room    *roomState
	inbox   bool    // it has an inbox socket
	classic bool    // it is an app of the predecessor
	js      bool    // it is the JavaScript client, in a process of Node
	rate    float64 // messages per second; 0 for a device that only receives
	network *network
	session session
	history *History
	rng     *rand.Rand // of the messages
	sent    int        // messages by sendAtRate

	sockets, acknowledged, resets atomic.Int64
	connected                     atomic.Bool
	talks                         atomic.Bool // it sends, reads and types
	state                         state
	dropping                      sync.WaitGroup
}

// A seat says what a device is.
type seat struct{ support, therapist, inbox, direct, classic, js bool }

// newDevice makes a device that writes its history to path.
func newDevice(name string, user room.UserID, s seat, r *roomState, n *network, token, path string) (*device, error) {
	h, err := NewHistory(path)
	if err != nil {
		return nil, err
	}
	d := &device{
		name: name, user: user, inbox: s.inbox, classic: s.classic, js: s.js, room: r, network: n, history: h,
		rng: rand.New(rand.NewPCG(n.rng.Uint64(), 2)),
	}
	h.Add(judge.Entry{
		Kind: judge.Begins, Client: name, User: int64(user),
		Customer: int64(r.room.Customer), Therapist: int64(r.room.Therapist), Inbox: s.inbox, State: !s.classic, Classic: s.classic, InOrder: s.js,
	})
	path = "inbox/"
	if !s.inbox {
		path = fmt.Sprintf("chat/%d/%d/", r.room.Customer, r.room.Therapist)
	}
	o := client.Options{
		URL:   "ws://roomspa.test/ws/" + path,
		Token: token, NetDial: n.dial, DialTimeout: clientTimeout, KeepAlive: clientTimeout,
	}
	switch {
	case s.classic:
		d.session = newClassic(d, o)
		return d, nil
	case s.js:
		d.session = newNode(d, token)
		return d, nil
	}
	d.session = client.NewSession(client.SessionOptions{
		Socket: o, On: d.handle, Record: d.record, MaxUnacknowledged: maxUnacknowledged, Rate: -1, MaxBackoff: maxBackoff,
	})
	return d, nil
}

func (d *device) record(r client.Record) {
	switch r.Kind { //nolint:exhaustive // the others change no state here
	case client.RecordConnected:
		d.sockets.Add(1)
		d.room.advance(r.Seq)
	case client.RecordClosed:
		d.connected.Store(false)
	case client.RecordResumed:
		if r.Frame.Reset {
			d.resets.Add(1)
		}
	case client.RecordAcknowledged:
		d.acknowledged.Add(1)
		d.room.advance(r.Seq)
	default:
	}
	d.history.Record(r)
}

func (d *device) handle(e client.Event) {
	d.handleState(e)
	if e.Kind == client.Connected {
		d.connected.Store(true)
	}
	if e.Kind == client.GaveUp {
		d.history.Add(judge.Entry{Kind: judge.GaveUp, Ref: e.Ref, Detail: e.Err.Error()})
	}
}

// run runs the session until close, or until it gives up.
func (d *device) run(ctx context.Context) {
	if err := d.session.Run(ctx); err == nil {
		d.history.Add(judge.Entry{Kind: judge.Stayed})
	}
}

// sendAtRate sends messages at the device's rate until ctx ends, sometimes in bursts.
func (d *device) sendAtRate(ctx context.Context) {
	d.talks.Store(true)
	defer d.talks.Store(false)
	if d.rate <= 0 {
		<-ctx.Done()
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Duration(d.rng.ExpFloat64() / d.rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		burst := 1
		if d.rng.IntN(300) == 0 {
			burst = maxUnacknowledged
		}
		for range burst {
			// While a store is away the outbox is full. The message is not sent then.
			if d.send(fmt.Sprintf("%s-%d", d.name, d.sent)) != nil {
				break
			}
			d.sent++
		}
	}
}

// roam drops the connection from time to time until ctx ends.
func (d *device) roam(ctx context.Context) {
	for pause(ctx, time.Duration(rand.ExpFloat64()*float64(meanRoaming))) {
		d.drop()
	}
}

// send sends a message with this id and a random, mostly short text.
func (d *device) send(id string) error {
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

// drop drops the connection in the background.
func (d *device) drop() {
	d.dropping.Go(func() { d.session.Drop() })
}

// isIdle reports whether the device has received the room's last message and has no
// unacknowledged one. What a classic device has received is decided by isSettled.
func (d *device) isIdle() bool {
	if d.classic {
		return d.connected.Load() && d.session.Unacknowledged() == 0
	}
	received, known := d.received()
	return known && d.connected.Load() && d.session.Unacknowledged() == 0 && received >= d.room.last.Load()
}

// close ends the session, which may take a few seconds.
func (d *device) close() {
	d.network.reconnect()
	d.network.speedUp()
	d.session.Close(1000, "")
	<-d.session.Done()
	d.dropping.Wait()
	d.network.close()
}
