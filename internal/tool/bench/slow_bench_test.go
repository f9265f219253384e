package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// secondsEnv says for how long BenchmarkSlowReaders measures latencies, twice.
const secondsEnv = "ROOMSPA_BENCH_SECONDS"

// interval is the time between two positions of a sender.
const interval = 25 * time.Millisecond

// stall is how long a reader reads nothing: less than the time after which it is
// cut, and long enough to fill all that the kernels take.
const stall = 8 * time.Second

// BenchmarkSlowReaders measures what readers that stall cost the others, and the
// replica. 200 sockets chat with 200 messages a second, first beside readers that
// read, then beside the same readers stalled: one of a chat, which comes back
// whenever it is cut or closed, and one of a location.
func BenchmarkSlowReaders(b *testing.B) {
	seconds := 10
	if text := os.Getenv(secondsEnv); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 {
			b.Fatalf("%s must be a number of seconds", secondsEnv)
		}
	}
	b.Run("latency", func(b *testing.B) {
		replica := lone(b)
		for b.Loop() {
			without, _ := beside(b, replica, time.Duration(seconds)*time.Second, 0)
			with, found := beside(b, replica, time.Duration(seconds)*time.Second, stall)
			b.ReportMetric(without, "p99-ms-without")
			b.ReportMetric(with, "p99-ms-with")
			b.ReportMetric(with/without, "p99-with/without")
			b.ReportMetric(found.age, "position-age-ms")
			b.ReportMetric(found.stale, "stale-positions")
			b.ReportMetric(found.back, "chat-reader-ends")
		}
	})
	b.Run("memory", func(b *testing.B) {
		replica := lone(b, "--write-timeout=5m") // they stay until they are measured
		for b.Loop() {
			b.ReportMetric(growth(b, replica, bench.Chat), "KiB/stalled-chat-socket")
			b.ReportMetric(growth(b, replica, bench.Location), "KiB/stalled-location-socket")
		}
	})
}

// lone is a replica in a process of its own.
func lone(b *testing.B, flags ...string) *process {
	b.Helper()
	redisURL, prefix := world.Redis(b)
	databaseURL := world.Database(b, populate)
	replica := spawn(b, "replica", append([]string{databaseURL, redisURL, prefix}, flags...)...)
	replica.database = databaseURL
	ready(b, "http://"+replica.Ops)
	return replica
}

// What the slow readers saw.
type found struct {
	age   float64 // ms, of the first position that was not in the kernels' buffers during the stall; the worst
	stale float64 // positions before that one; the most
	back  float64 // times that the chat reader had to come back
}

// beside returns the 99th percentile of the latency of 200 sockets in ms, beside a
// chatting pair one of which stalls, and a location pair likewise.
func beside(b *testing.B, replica *process, length, stall time.Duration) (p99 float64, saw found) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	var pairs sync.WaitGroup
	defer pairs.Wait()
	defer stop()
	k := keys(b)
	talker, teller := must(sit(k, replica.Addr, bench.Chat, 1)), must(sit(k, replica.Addr, bench.Location, 1))
	if talker == nil || teller == nil {
		b.Fatal("the pairs cannot connect")
	}
	for _, c := range []*websocket.Conn{talker, teller} {
		pairs.Go(func() { read(c) })
		context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	pairs.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = say(talker, 1000, n) // an error ends the load too
				_ = position(teller, n)
			}
		}
	})
	var chat, place found
	pairs.Go(func() { chat = readChat(ctx, k, replica.Addr, stall) })
	pairs.Go(func() { place = readLocation(ctx, k, replica.Addr, stall) })

	report, err := bench.Run(ctx, bench.Options{
		URLs: []string{"http://" + replica.Addr}, Kind: bench.Chat, Sockets: 200, Rooms: 100, Rate: 200, Size: 40,
		Warm: 3 * time.Second, For: length, Drain: 10 * time.Second, Dialers: 16, HandshakeTimeout: 30 * time.Second,
		Keys: k, First: 1001, Last: users,
	})
	if err != nil {
		b.Fatal(err)
	}
	if report.Failed() {
		b.Errorf("%+v", report.Messages)
	}
	stop()
	pairs.Wait()
	return report.Messages.Latency.P99, found{age: place.age, stale: place.stale, back: chat.back}
}

// readChat follows the chat of 1 and 2, and reads nothing for as long as it is
// let, again and again.
func readChat(ctx context.Context, k *auth.Keys, addr string, stall time.Duration) (saw found) {
	for ctx.Err() == nil {
		conn, err := sit(k, addr, bench.Chat, 2)
		if err != nil {
			continue
		}
		free := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if stall > 0 {
			rest(ctx, stall+5*time.Second) // until it is cut
		}
		read(conn)
		free()
		_ = conn.Close()
		if ctx.Err() == nil {
			saw.back++
		}
	}
	return saw
}

// readLocation follows their location. After each stall it looks how old the first
// position is that the server has handed out since: it stands behind the longest
// leap, for what was in a buffer follows one upon the other.
func readLocation(ctx context.Context, k *auth.Keys, addr string, stall time.Duration) (saw found) {
	conn, err := sit(k, addr, bench.Location, 2)
	if err != nil {
		return found{age: math.Inf(1)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if stall == 0 {
		read(conn)
		return saw
	}
	for {
		if rest(ctx, stall); ctx.Err() != nil {
			return saw
		}
		var last time.Time
		var leap, age, stale float64
		for n, until := 0.0, time.Now().Add(time.Second); time.Now().Before(until); n++ {
			var got struct {
				Timestamp time.Time `json:"timestamp"`
			}
			_, text, err := conn.ReadMessage()
			if err != nil || json.Unmarshal(text, &got) != nil {
				return found{age: math.Inf(1)} // it was cut; a reader that reads again in time is not
			}
			if by := got.Timestamp.Sub(last).Seconds(); !last.IsZero() && by > leap {
				leap, age, stale = by, time.Since(got.Timestamp).Seconds()*1000, n
			}
			last = got.Timestamp
		}
		saw.age, saw.stale = max(saw.age, age), max(saw.stale, stale)
	}
}

// growth is what a stalled reader adds to a replica, its kernel's memory included,
// in KiB. In each of a hundred rooms one talks until nothing more gets to the other.
func growth(b *testing.B, replica *process, kind string) float64 {
	b.Helper()
	const rooms, warm, flood = 100, 20, 400
	k := keys(b)
	talkers, readers := make([]*websocket.Conn, rooms), make([]*websocket.Conn, rooms)
	ports := make([]string, rooms)
	for i := range rooms {
		talkers[i], readers[i] = must(sit(k, replica.Addr, kind, 2*i+1)), must(sit(k, replica.Addr, kind, 2*i+2))
		if talkers[i] == nil || readers[i] == nil {
			b.Fatal("they cannot connect")
		}
		_, ports[i], _ = net.SplitHostPort(readers[i].LocalAddr().String())
	}
	defer closeAll(append(talkers, readers...))
	// talk lets every talker say that much, and hear each before the next.
	talk := func(from, n int, also func(i int) error) {
		var all sync.WaitGroup
		for i, c := range talkers {
			all.Go(func() {
				var err error
				for m := from; m < from+n && err == nil; m++ {
					if kind == bench.Chat {
						err = say(c, 500, m)
					} else {
						err = position(c, m)
					}
					if err == nil {
						err = until(c, mark(kind, m))
					}
				}
				if err == nil && also != nil {
					err = also(i)
				}
				if err != nil {
					b.Errorf("room %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if b.Failed() {
			b.FailNow()
		}
	}
	held := func() float64 {
		kernel, err := strconv.Atoi(replica.ask(b, "kernel "+strings.Join(ports, " ")))
		if err != nil {
			b.Fatal(err)
		}
		return replica.freed(b) + float64(kernel)/1024
	}
	talk(0, warm, func(i int) error { return until(readers[i], mark(kind, warm-1)) })
	before := held()
	talk(warm, flood, nil)
	return (held() - before) / rooms
}

// sit connects a user of the first rooms with a small receive buffer, as a phone
// has it, and returns after the connected frame.
func sit(k *auth.Keys, addr, kind string, user int) (*websocket.Conn, error) {
	token, _, err := k.Mint(auth.Access, room.UserID(user), time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	d := websocket.Dialer{
		Subprotocols: []string{"bearer", token}, HandshakeTimeout: time.Minute, ReadBufferSize: 512,
		NetDialContext: (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { // before the window is told
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16384)
			})
		}}).DialContext,
	}
	customer := (user-1)/2*2 + 1
	conn, _, err := d.Dial(fmt.Sprintf("ws://%s/ws/%s/%d/%d/", addr, kind, customer, customer+1), nil)
	if err != nil {
		return nil, err
	}
	return conn, until(conn, `"type":"connected"`)
}

func must(c *websocket.Conn, err error) *websocket.Conn {
	if err != nil {
		return nil
	}
	return c
}

func say(c *websocket.Conn, size, n int) error {
	return c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"message":"%s-%d"}`, strings.Repeat(".", size), n))
}

func position(c *websocket.Conn, n int) error {
	return c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"latitude":1,"longitude":2,"accuracy":8,"speed":%d}`, n))
}

// mark is in the message or position of that number, and in no other.
func mark(kind string, n int) string {
	if kind == bench.Chat {
		return fmt.Sprintf(`-%d"`, n)
	}
	return fmt.Sprintf(`"speed":%d,`, n)
}

// read reads on to the end.
func read(c *websocket.Conn) {
	for {
		if _, _, err := c.NextReader(); err != nil {
			return
		}
	}
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
