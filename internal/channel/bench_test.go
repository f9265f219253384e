package channel_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func benchLayer(b *testing.B) *channel.Layer {
	b.Helper()
	url, prefix := world.Redis(b)
	l := openWith(b, redis.Options{URL: url, Prefix: prefix}, slog.New(slog.DiscardHandler), nil).Layer
	up(b, l)
	return l
}

// From handing in to having been delivered, with many under way.
func BenchmarkPublishAndDeliver(b *testing.B) {
	l := benchLayer(b)
	const groups, window = 100, 2000
	slots := make(chan struct{}, window)
	var delivered atomic.Int64
	all := make(chan struct{})
	total := int64(b.N)
	for i := range groups {
		_, err := l.Join(b.Context(), "chat_1_"+itoa(i), func(event.Event) {
			<-slots
			if delivered.Add(1) == total {
				close(all)
			}
		}, func(bool) { b.Error("missed") })
		if err != nil {
			b.Fatal(err)
		}
	}
	var names [groups]string
	for i := range names {
		names[i] = "chat_1_" + itoa(i)
	}
	payload := event.Story(make([]byte, 300))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		l.Publish(names[i%groups], payload, nil)
	}
	<-all
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// One message at a time: the latency of the whole way.
func BenchmarkRoundTrip(b *testing.B) {
	l := benchLayer(b)
	back := make(chan struct{})
	if _, err := l.Join(b.Context(), "chat_1_1", func(event.Event) { back <- struct{}{} }, func(bool) {}); err != nil {
		b.Fatal(err)
	}
	payload := event.Story(make([]byte, 300))
	b.ReportAllocs()
	for b.Loop() {
		l.Publish("chat_1_1", payload, nil)
		<-back
	}
}

// Joins of new groups by 200 handshakes at once, each left again.
func BenchmarkJoin(b *testing.B) {
	l := benchLayer(b)
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 200 {
		all.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				leave, err := l.Join(b.Context(), "chat_2_"+itoa(int(i)), func(event.Event) {}, func(bool) {})
				if err != nil {
					b.Error(err)
					return
				}
				leave()
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "joins/s")
}

// What a group with one member costs while nothing happens, and how long it
// takes to subscribe all of them again.
func BenchmarkIdleGroups(b *testing.B) {
	const groups = 20_000
	for b.Loop() {
		l := benchLayer(b)
		before := heap()
		var all sync.WaitGroup
		leaves := make([]func(), groups)
		for w := range 200 {
			all.Go(func() {
				for i := w; i < groups; i += 200 {
					var err error
					if leaves[i], err = l.Join(context.WithoutCancel(b.Context()), "chat_3_"+itoa(i), func(event.Event) {}, func(bool) {}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(heap()-before)/groups, "B/group")
		runtime.KeepAlive(leaves)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Four replicas publish on a cluster of three masters to groups with members on two of them, with
// plain and with sharded Pub/Sub: how much a message costs the nodes of Redis and this process.
func BenchmarkCluster(b *testing.B) {
	const groups, window = 400, 500
	for name, refusal := range map[string]error{"plain": errOld{}, "sharded": nil} {
		b.Run(name, func(b *testing.B) {
			p := world.RedisCluster(b)
			var layers []*channel.Layer
			for range 4 {
				l := openPubSub(b, p.Options, refusal)
				l.UseShardedAt(refusal, time.Now().Add(time.Hour)) // one kind alone from now on
				layers = append(layers, l)
			}
			up(b, layers...)
			var delivered atomic.Int64
			slots, all := make(chan struct{}, len(layers)*window), make(chan struct{})
			total := int64(2 * b.N)
			for i := range groups {
				for j := range 2 {
					if _, err := layers[(i+j)%len(layers)].Join(b.Context(), "chat_1_"+itoa(i), func(event.Event) {
						if n := delivered.Add(1); n%2 == 0 {
							<-slots
							if n == total {
								close(all)
							}
						}
					}, func(bool) { b.Error("missed") }); err != nil {
						b.Fatal(err)
					}
				}
			}
			payload := event.Story(make([]byte, 300))
			redisCPU, ownCPU := p.CPU(b), cpuTime(b)
			b.ResetTimer()
			for i := range b.N {
				slots <- struct{}{}
				layers[i%len(layers)].Publish("chat_1_"+itoa(i%groups), payload, nil)
			}
			<-all
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64((p.CPU(b)-redisCPU).Nanoseconds())/float64(b.N)/1000, "redis-µs/msg")
			b.ReportMetric(float64((cpuTime(b)-ownCPU).Nanoseconds())/float64(b.N)/1000, "own-µs/msg")
		})
	}
}

// cpuTime returns the processor time of this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a layer costs while nothing happens: the echoes and PINGs of one subscription, or of 32.
func BenchmarkIdle(b *testing.B) {
	for name, start := range map[string]func(testing.TB) *world.RedisServers{"standalone": world.RedisStandalone, "cluster": world.RedisCluster} {
		b.Run(name, func(b *testing.B) {
			p := start(b)
			up(b, openPubSub(b, p.Options, nil))
			redisCPU, ownCPU, began := p.CPU(b), cpuTime(b), time.Now()
			for b.Loop() {
				<-time.After(time.Second)
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric((cpuTime(b)-ownCPU).Seconds()*1000/seconds, "own-ms/s")
			b.ReportMetric((p.CPU(b)-redisCPU).Seconds()*1000/seconds, "redis-ms/s")
		})
	}
}
