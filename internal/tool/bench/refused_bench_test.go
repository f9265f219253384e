package bench_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const (
	refusedFor  = 15 * time.Second
	refusedRate = 1000 // bad tokens a second
	goodRate    = 50   // good handshakes a second
	goodSockets = 200  // that take turns
)

// BenchmarkRefusedHandshakes measures what 1,000 handshakes a second with a bad token
// cost the good ones on the same replica, from dialling to the first frame, and what
// they leave behind in the memory of the replica and of Redis. How many really came is
// reported: the clients share the machine.
func BenchmarkRefusedHandshakes(b *testing.B) {
	redisURL, prefix := world.Redis(b)
	replica := spawn(b, "replica", world.Database(b, populate), redisURL, prefix)
	ready(b, "http://"+replica.Ops)
	closeAll(openAll(b, replica.Addr, goodSockets)) // their conversations exist
	for b.Loop() {
		p50, p99, longest := shakeHands(b, replica.Addr)
		rss, freed, stored := replica.rss(b), replica.freed(b), redisMemory(b, redisURL)
		began := time.Now()
		stop := knock(b, replica.Addr)
		p50beside, p99beside, longestBeside := shakeHands(b, replica.Addr)
		refused, failed := stop()
		took := time.Since(began).Seconds()
		b.ReportMetric(p50, "p50-ms-without")
		b.ReportMetric(p99, "p99-ms-without")
		b.ReportMetric(longest, "max-ms-without")
		b.ReportMetric(longestBeside, "max-ms-with")
		b.ReportMetric(p50beside, "p50-ms-with")
		b.ReportMetric(p99beside, "p99-ms-with")
		b.ReportMetric(float64(refused)/took, "refused/s")
		b.ReportMetric(float64(failed), "not-refused")
		b.ReportMetric((replica.rss(b)-rss)/1024, "MiB-grown")
		b.ReportMetric((replica.freed(b)-freed)/1024, "MiB-grown-freed")
		b.ReportMetric((redisMemory(b, redisURL)-stored)/1024, "redis-MiB-grown")
	}
}

// shakeHands connects at a steady rate, and returns the latencies in ms.
func shakeHands(b *testing.B, addr string) (p50, p99, longest float64) {
	b.Helper()
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
	)
	k := keys(b)
	paced(b.Context(), refusedFor, goodRate, func(n int) {
		all.Go(func() {
			began := time.Now()
			conn, err := connected(k, addr, n%goodSockets)
			if err != nil {
				b.Errorf("a good handshake: %v", err)
				return
			}
			mu.Lock()
			took = append(took, time.Since(began))
			mu.Unlock()
			closeAll([]*websocket.Conn{conn})
		})
	})
	all.Wait()
	if len(took) == 0 {
		b.Fatal("no handshake was good")
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	return at(.5), at(.99), at(1)
}

// knock connects with bad tokens until it is stopped, and returns then how many were
// refused with 4001 and how many were not.
func knock(b *testing.B, addr string) (stop func() (refused, failed int64)) {
	b.Helper()
	stranger, err := auth.NewKeys([]string{"a secret that the replica does not know, of 32 bytes or more"})
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := stranger.Mint(auth.Access, 1, time.Now(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	var (
		all             sync.WaitGroup
		refused, failed atomic.Int64
	)
	ctx, cancel := context.WithCancel(b.Context())
	turns := make(chan struct{}, 256) // a replica that is behind gets no more at once
	all.Go(func() {
		paced(ctx, time.Hour, refusedRate, func(n int) {
			turns <- struct{}{}
			all.Go(func() {
				defer func() { <-turns }()
				if isRefused(addr, token, n) {
					refused.Add(1)
				} else {
					failed.Add(1)
				}
			})
		})
	})
	return func() (int64, int64) {
		cancel()
		all.Wait()
		return refused.Load(), failed.Load()
	}
}

// isRefused connects from an address of its own: one has not enough ports for so many.
func isRefused(addr, token string, n int) bool {
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/200%200), byte(1+n%200))}
	d := websocket.Dialer{
		Subprotocols: []string{"bearer", token}, HandshakeTimeout: 10 * time.Second, ReadBufferSize: 512, WriteBufferPool: &sync.Pool{},
		NetDialContext: (&net.Dialer{LocalAddr: from}).DialContext,
	}
	conn, _, err := d.Dial("ws://"+addr+"/ws/chat/1/2/", nil)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	for err == nil { // the library answers the Close
		_, _, err = conn.NextReader()
	}
	return websocket.IsCloseError(err, 4001)
}

// paced calls do so many times a second, and makes good what a busy machine has missed.
func paced(ctx context.Context, d time.Duration, rate int, do func(n int)) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n, began := 0, time.Now(); ; {
		for due := int(min(time.Since(began), d).Seconds() * float64(rate)); n < due && ctx.Err() == nil; n++ {
			do(n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || time.Since(began) >= d {
			return
		}
	}
}

// redisMemory returns used_memory in KiB.
func redisMemory(b *testing.B, redisURL string) float64 {
	b.Helper()
	o, err := goredis.ParseURL(redisURL)
	if err != nil {
		b.Fatal("the URL of Redis cannot be read")
	}
	client := goredis.NewClient(o)
	defer func() { _ = client.Close() }()
	info, err := client.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "used_memory:")
	used, err := strconv.ParseFloat(strings.Fields(after + " none")[0], 64)
	if err != nil {
		b.Fatal(fmt.Errorf("used_memory: %w", err))
	}
	return used / 1024
}
