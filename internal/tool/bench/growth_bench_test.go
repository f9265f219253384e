package bench_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// BenchmarkRooms measures how many messages two replicas take from more and more
// rooms of two, each of which has two messages under way.
func BenchmarkRooms(b *testing.B) {
	for _, rooms := range []int{10, 100, 1000, 9900} {
		b.Run(strconv.Itoa(rooms), func(b *testing.B) {
			first, second := couple(b, "")
			for b.Loop() {
				r := measured(b, bench.Options{
					URLs: []string{"http://" + first.Addr, "http://" + second.Addr}, Kind: bench.Chat, Sockets: 2 * rooms, Rooms: rooms,
					Max: true, Size: 40, Warm: 2 * time.Second, For: 10 * time.Second, Drain: 20 * time.Second,
					Dialers: 32, HandshakeTimeout: time.Minute, Keys: keys(b), First: 1, Last: users,
					PIDs: []int{first.cmd.Process.Pid, second.cmd.Process.Pid},
				})
				b.ReportMetric(r.Messages.PerSecond, "messages/s")
				b.ReportMetric(r.Total.CPUMsPerMessage, "server-CPU-ms/message")
			}
		})
	}
}

// BenchmarkHandshakeBeside measures a handshake, 4 of them at a time, on a replica
// that holds more and more sockets of other rooms.
func BenchmarkHandshakeBeside(b *testing.B) {
	const newcomers = 1000
	replica := lone(b)
	var held []*websocket.Conn
	defer func() { closeAll(held) }()
	for _, rooms := range []int{0, 1000, 4000, 9000} {
		b.Run(strconv.Itoa(rooms), func(b *testing.B) {
			for b.Loop() {
				held = append(held, openFrom(b, replica.Addr, len(held), 2*rooms)...) // nothing, the second time
				rest(b.Context(), 10*time.Second)                                     // the replica clears away what the wave has left
				r := measured(b, bench.Options{
					URLs: []string{"http://" + replica.Addr}, Kind: bench.Chat, Sockets: newcomers, Rooms: newcomers / 2, Size: 40, For: time.Second,
					Dialers: 4, HandshakeTimeout: time.Minute, Keys: keys(b), First: users - newcomers + 1, Last: users,
				})
				b.ReportMetric(r.Connections.Handshake.P50, "p50-ms")
				b.ReportMetric(r.Connections.Handshake.P99, "p99-ms")
			}
		})
	}
}

// BenchmarkCatchUp measures how long it takes after an outage of Redis until every
// room has what was said in it meanwhile: one message a room, whose two sides are on
// different replicas.
func BenchmarkCatchUp(b *testing.B) {
	for _, rooms := range []int{100, 1000, 4000} {
		b.Run(strconv.Itoa(rooms), func(b *testing.B) {
			redis := world.StartRedis(b)
			first, second := couple(b, redis.URL())
			customers, therapists := side(b, first.Addr, rooms, 0), side(b, second.Addr, rooms, 1)
			defer closeAll(append(customers, therapists...))
			for b.Loop() {
				var seen atomic.Int64
				var all sync.WaitGroup
				word := "said in the outage at " + strconv.FormatInt(time.Now().UnixNano(), 36)
				for _, c := range therapists {
					all.Go(func() {
						if err := until(c, word); err != nil {
							b.Error(err)
							return
						}
						seen.Add(1)
					})
				}
				if err := redis.Kill(); err != nil {
					b.Fatal(err)
				}
				for _, c := range customers {
					if err := c.WriteMessage(websocket.TextMessage, []byte(`{"message":"`+word+`"}`)); err != nil {
						b.Fatal(err)
					}
				}
				for _, c := range customers {
					if err := until(c, `"type":"ack"`); err != nil {
						b.Fatal(err)
					}
				}
				if n := seen.Load(); n != 0 {
					b.Fatalf("%d have it without Redis", n)
				}
				began := time.Now()
				if err := redis.Restart(b.Context()); err != nil {
					b.Fatal(err)
				}
				up := time.Since(began)
				all.Wait()
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-until-all-have-it")
				b.ReportMetric(float64(up.Milliseconds()), "ms-of-them-Redis-started")
			}
		})
	}
}

// couple is two replicas in processes of their own, on the shared Redis where no
// other is named.
func couple(b *testing.B, redisURL string) (first, second *process) {
	b.Helper()
	shared, prefix := world.Redis(b)
	if redisURL == "" {
		redisURL = shared
	}
	databaseURL := world.Database(b, populate)
	first, second = spawn(b, "replica", databaseURL, redisURL, prefix), spawn(b, "replica", databaseURL, redisURL, prefix)
	ready(b, "http://"+first.Ops)
	ready(b, "http://"+second.Ops)
	return first, second
}

func measured(b *testing.B, o bench.Options) *bench.Report {
	b.Helper()
	r, err := bench.Run(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	if r.Failed() || r.Connections.Failed > 0 {
		b.Fatalf("%+v %+v", r.Connections, r.Messages)
	}
	return r
}

// side opens one side of so many rooms: 0 is the customers, 1 the therapists.
func side(b *testing.B, addr string, rooms, which int) []*websocket.Conn {
	b.Helper()
	return open(b, rooms, func(k *auth.Keys, i int) (*websocket.Conn, error) { return connected(k, addr, 2*i+which) })
}

// openFrom opens the sockets from the first one up to all but the last one.
func openFrom(b *testing.B, addr string, first, last int) []*websocket.Conn {
	b.Helper()
	return open(b, last-first, func(k *auth.Keys, i int) (*websocket.Conn, error) { return openOne(k, addr, first+i) })
}

// open opens n sockets, 64 at a time.
func open(b *testing.B, n int, one func(*auth.Keys, int) (*websocket.Conn, error)) []*websocket.Conn {
	b.Helper()
	conns, err := openMany(0, n, one)
	if err != nil {
		b.Fatal(err)
	}
	return conns
}

// openMany opens the sockets from the first one up to all but the last one, 64 at a time.
func openMany(first, last int, one func(*auth.Keys, int) (*websocket.Conn, error)) ([]*websocket.Conn, error) {
	k, err := auth.NewKeys([]string{world.Secret})
	if err != nil {
		return nil, err
	}
	conns, errs := make([]*websocket.Conn, last-first), make([]error, last-first)
	next := make(chan int)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := range next {
				if conns[i], errs[i] = one(k, first+i); errs[i] != nil {
					errs[i] = fmt.Errorf("socket %d: %w", first+i, errs[i])
				}
			}
		})
	}
	for i := range conns {
		next <- i
	}
	close(next)
	all.Wait()
	return conns, errors.Join(errs...)
}

// openHeld opens sockets in a process of the role holder, as its input says: address, first, last.
func openHeld(words []string) error {
	first, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	last, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	_, err = openMany(first, last, func(k *auth.Keys, i int) (*websocket.Conn, error) { return openOne(k, words[0], i) })
	return err
}
