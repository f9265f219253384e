package bench_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// stormSockets is how many BenchmarkStorm lets come back at once.
const stormSockets = 5000

// BenchmarkStorm kills one of two replicas under 5,000 sockets, and measures how
// long it takes until all of them are back on the other one, what that costs
// Postgres, and what those notice who chat there. The clients are those of the
// repository: what they do when a socket ends is a part of it.
func BenchmarkStorm(b *testing.B) {
	redisURL, prefix := world.Redis(b)
	databaseURL := world.Database(b, populate)
	for b.Loop() {
		// Through a line of its own, the remaining replica's connections can be counted.
		line := netfault.New(b, hostOf(b, databaseURL))
		doomed, left := spawn(b, "replica", databaseURL, redisURL, prefix), spawn(b, "replica", line.URL(databaseURL), redisURL, prefix)
		ready(b, "http://"+doomed.Ops)
		ready(b, "http://"+left.Ops)
		c := gather(b, doomed.Addr, left.Addr)

		chatted := make(chan *bench.Report, 1)
		chat := bench.Options{
			URLs: []string{"http://" + left.Addr}, Kind: bench.Chat, Sockets: 20, Rooms: 10, Rate: 50, Size: 40,
			Warm: 2 * time.Second, For: time.Minute, Drain: 10 * time.Second, Dialers: 8, HandshakeTimeout: 30 * time.Second,
			Keys: keys(b), First: 2*stormSockets + 1, Last: users,
		}
		ctx, stop := context.WithCancel(b.Context())
		var all sync.WaitGroup
		all.Go(func() {
			r, err := bench.Run(ctx, chat)
			if err != nil {
				b.Error(err)
			}
			chatted <- r
		})
		rest(ctx, 4*time.Second) // they chat
		most := 0
		count := func() bool {
			most = max(most, line.Counts().Open)
			return c.back.Load() >= stormSockets
		}
		began := time.Now()
		c.killed.Store(true)
		if err := doomed.cmd.Process.Kill(); err != nil {
			b.Fatal(err)
		}
		waits(b, 2*time.Minute, func() string { return fmt.Sprintf("%d are back", c.back.Load()) }, count)
		took := time.Since(began)
		rest(ctx, 2*time.Second) // what the last ones have left behind
		stop()
		all.Wait()
		r := <-chatted
		c.leave()
		b.ReportMetric(took.Seconds(), "seconds-until-all-back")
		b.ReportMetric(float64(most), "max-postgres-connections")
		b.ReportMetric(float64(c.busy.Load()), "told-busy")
		b.ReportMetric(float64(c.attempts.Load())/stormSockets, "handshakes/socket")
		if r != nil {
			b.ReportMetric(r.Messages.Latency.P99, "others-p99-ms")
			b.ReportMetric(r.Messages.Latency.Max, "others-max-ms")
			b.ReportMetric(float64(r.Messages.Lost+int64(len(r.Closes))+int64(len(r.Refused))), "others-lost")
		}
	}
}

// A crowd is many clients with a load balancer in front of two replicas.
type crowd struct {
	killed   atomic.Bool // the first replica, which the balancer knows
	back     atomic.Int64
	attempts atomic.Int64
	busy     atomic.Int64
	here     atomic.Int64

	sessions []*client.Session
	running  sync.WaitGroup
}

// gather connects all to the first replica, in rooms of two, each of which has a
// message.
func gather(b *testing.B, first, second string) *crowd {
	b.Helper()
	k, c := keys(b), &crowd{}
	ctx := context.WithoutCancel(b.Context())
	turns := make(chan struct{}, 64) // at first they come one after the other
	for i := range stormSockets {
		customer := i/2*2 + 1
		o := client.SessionOptions{
			Socket: client.Options{
				URL: fmt.Sprintf("ws://%s/ws/chat/%d/%d/", first, customer, customer+1),
				NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					to := first
					if c.killed.Load() {
						c.attempts.Add(1)
						to = second
					}
					return new(net.Dialer).DialContext(ctx, network, to)
				},
			},
			TokenSource: mint(k, room.UserID(i+1)),
			On:          c.hear,
		}
		s := client.NewSession(o)
		c.sessions = append(c.sessions, s)
		turns <- struct{}{}
		c.running.Go(func() { _ = s.Run(ctx) })
		go func() {
			_, _ = s.SendMessage("before the storm", "")
			_ = s.Await(ctx, 0)
			<-turns
		}()
	}
	b.Cleanup(c.leave)
	waits(b, 2*time.Minute, func() string { return fmt.Sprintf("%d are connected", c.here.Load()) }, func() bool { return c.here.Load() >= stormSockets })
	return c
}

func (c *crowd) hear(e client.Event) {
	switch {
	case e.Kind == client.Connected && !c.killed.Load():
		c.here.Add(1)
	case e.Kind == client.Resumed && c.killed.Load():
		c.back.Add(1)
	case e.Kind == client.Closed && c.killed.Load():
		if closed, ok := errors.AsType[*client.CloseError](e.Err); ok && closed.Reason == "busy" {
			c.busy.Add(1)
		}
	}
}

func (c *crowd) leave() {
	for _, s := range c.sessions {
		s.Close(1000, "")
	}
	c.running.Wait()
}

func mint(k *auth.Keys, user room.UserID) client.TokenSource {
	return func(context.Context, string) (string, error) {
		token, _, err := k.Mint(auth.Access, user, time.Now(), time.Hour)
		return token, err
	}
}

// waits asks until the answer is yes.
func waits(b *testing.B, limit time.Duration, how func() string, ask func() bool) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(limit); !ask(); <-tick.C {
		if time.Now().After(until) {
			b.Fatalf("after %v %s", limit, how())
		}
	}
}

func hostOf(b *testing.B, raw string) string {
	b.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	return u.Host
}
