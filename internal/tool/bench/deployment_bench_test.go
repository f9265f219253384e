package bench_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/tool/bench"
)

// A whole handshake: token, user, confirmed join, conversation; 32 at once, of
// 1,000 rooms whose conversations exist.
func BenchmarkHandshake(b *testing.B) {
	a := replicas(b, 1)[0]
	const rooms = 1000
	closeAll(openAll(b, a.Addr(), 2*rooms))
	k := keys(b)
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1)) % (2 * rooms)
			conn, err := connected(k, a.Addr(), i)
			if err != nil {
				b.Error(err)
				return
			}
			closeAll([]*websocket.Conn{conn})
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
}

// Two replicas at work: as many messages as they take in two seconds.
func BenchmarkDeployment(b *testing.B) {
	for _, c := range []struct {
		name, kind     string
		sockets, rooms int
	}{
		{"chat", bench.Chat, 100, 50}, {"location", bench.Location, 100, 50}, {"fanout", bench.Chat, 200, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := load(b, replicas(b, 2))
			o.Ops = nil // they are in this process, with the load
			o.Kind, o.Sockets, o.Rooms, o.Max = c.kind, c.sockets, c.rooms, true
			o.Warm, o.For, o.Dialers = 500*time.Millisecond, 2*time.Second, 32
			for b.Loop() {
				r, err := bench.Run(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				m := r.Messages
				if r.Failed() {
					b.Errorf("%+v", m)
				}
				b.ReportMetric(m.PerSecond, "messages/s")
				b.ReportMetric(m.FramesPerSecond, "frames/s")
				b.ReportMetric(m.Latency.P99, "p99-ms")
			}
		})
	}
}
