package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// A fleet is replicas and stores in processes of their own. The stores are as in production: Postgres waits for
// its disk.
type fleet struct {
	replicas []*process
	postgres *sandbox.Postgres
	redis    *sandbox.Redis
}

// newFleet starts a fleet. If own is not empty, it is the list of processors (as in taskset -c) for all replicas
// together, and rest the one for everything else, this process included.
func newFleet(b *testing.B, replicas int, own, rest string) *fleet {
	b.Helper()
	if own != "" {
		pin(b, rest)
	}
	f := &fleet{
		postgres: world.StartPostgres(b, map[string]string{"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}),
		redis:    world.StartRedis(b),
	}
	if err := populate(b.Context(), f.postgres.URL("postgres")); err != nil {
		b.Fatal(err)
	}
	for range replicas {
		f.replicas = append(f.replicas, spawnOn(b, own, "replica", f.postgres.URL("postgres"), f.redis.URL(), "grow:"))
	}
	for _, r := range f.replicas {
		ready(b, "http://"+r.Ops)
	}
	return f
}

// pin moves this process, and what it starts from now on, to some processors until the end of the benchmark.
func pin(b *testing.B, processors string) {
	b.Helper()
	self := strconv.Itoa(os.Getpid())
	before, err := exec.Command("taskset", "-cp", self).Output()
	if err == nil {
		err = exec.Command("taskset", "-acp", processors, self).Run()
	}
	if err != nil {
		b.Skipf("taskset: %v", err)
	}
	_, list, _ := strings.Cut(string(before), "list: ")
	b.Cleanup(func() { _ = exec.Command("taskset", "-acp", strings.TrimSpace(list), self).Run() })
}

// pids returns the ids of the replicas, Postgres and Redis, in this order.
func (f *fleet) pids() (pids []int) {
	for _, r := range f.replicas {
		pids = append(pids, r.cmd.Process.Pid)
	}
	return append(pids, f.postgres.PID(), f.redis.PID())
}

// load returns a load on the fleet, of two sockets a room.
func (f *fleet) load(b *testing.B, rooms int) bench.Options {
	b.Helper()
	o := bench.Options{
		Kind: bench.Chat, Sockets: 2 * rooms, Rooms: rooms, Size: 40, Warm: 2 * time.Second, For: 8 * time.Second, Drain: 20 * time.Second,
		Dialers: 32, HandshakeTimeout: time.Minute, Keys: keys(b), First: 1, Last: users, PIDs: f.pids(),
	}
	for _, r := range f.replicas {
		o.URLs = append(o.URLs, "http://"+r.Addr)
	}
	return o
}

// report reports what each message cost the replicas and the stores.
func (f *fleet) report(b *testing.B, r *bench.Report) {
	b.Helper()
	messages, n := r.Messages.PerSecond*r.Messages.Seconds, len(f.replicas)
	server := 0.0
	for _, p := range r.Replicas[:n] {
		server += p.CPUSeconds
	}
	b.ReportMetric(1000*server/messages, "server-ms/msg")
	b.ReportMetric(1000*r.Replicas[n].CPUSeconds/messages, "postgres-ms/msg")
	b.ReportMetric(1000*r.Replicas[n+1].CPUSeconds/messages, "redis-ms/msg")
	b.ReportMetric(r.Messages.PerSecond, "msg/s")
	b.ReportMetric(r.Messages.Latency.P99, "p99-ms")
}

// BenchmarkGrowRooms sends 500 messages a second in more and more rooms.
func BenchmarkGrowRooms(b *testing.B) {
	for _, rooms := range []int{10, 100, 1000, 9000} {
		b.Run(fmt.Sprint("rooms=", rooms), func(b *testing.B) {
			f := newFleet(b, 2, "", "")
			for b.Loop() {
				o := f.load(b, rooms)
				o.Rate = 500
				f.report(b, measured(b, o))
			}
		})
	}
}

// BenchmarkGrowPositions sends more and more positions a second in 100 rooms.
func BenchmarkGrowPositions(b *testing.B) {
	for _, rate := range []int{250, 1000, 4000} {
		b.Run(fmt.Sprint("rate=", rate), func(b *testing.B) {
			f := newFleet(b, 2, "", "")
			for b.Loop() {
				o := f.load(b, 100)
				o.Kind, o.Rate = bench.Location, float64(rate)
				f.report(b, measured(b, o))
			}
		})
	}
}

// BenchmarkGrowRoom sends in one room of more and more sockets, so that about 2,000 frames a second arrive.
func BenchmarkGrowRoom(b *testing.B) {
	for _, members := range []int{2, 10, 50, 200, 1000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			f := newFleet(b, 2, "", "")
			for b.Loop() {
				o := f.load(b, 1)
				o.Sockets, o.Rate = members, min(250, 2000/float64(members))
				f.report(b, measured(b, o))
			}
		})
	}
}

// BenchmarkGrowReplicas gives all replicas together one processor, and everything else another one: so more
// replicas have no more processors, and the numbers show what the replicas themselves cost.
func BenchmarkGrowReplicas(b *testing.B) {
	for _, replicas := range []int{1, 2, 4} {
		b.Run(fmt.Sprint("replicas=", replicas), func(b *testing.B) {
			f := newFleet(b, replicas, "0", "1")
			for b.Loop() {
				o := f.load(b, 50)
				o.Max = true
				r := measured(b, o)
				b.ReportMetric(r.Messages.PerSecond, "max-msg/s")
				o.Max, o.Rate = false, 500
				f.report(b, measured(b, o))
			}
		})
	}
}

// BenchmarkGrowIdle opens more and more sockets, each of which says one message, on four replicas, and looks for
// 20 seconds what the idle sockets cost.
func BenchmarkGrowIdle(b *testing.B) {
	f := newFleet(b, 4, "", "")
	var holders []*process // a process has a limit of open files
	for range f.replicas {
		holders = append(holders, spawn(b, "holder"))
	}
	held := 0
	for _, sockets := range []int{0, 1000, 5000, 10_000, 25_000, 50_000} {
		b.Run(fmt.Sprint("sockets=", sockets), func(b *testing.B) {
			for b.Loop() {
				f.hold(b, holders, held, sockets)
				held = sockets
				rest(b.Context(), 5*time.Second) // the replicas clear away what the wave has left
				before := f.used(b)
				const window = 20 * time.Second
				rest(b.Context(), window)
				after := f.used(b)
				for i, name := range []string{"server", "postgres", "redis"} {
					b.ReportMetric(100*(after.cpu[i]-before.cpu[i])/window.Seconds(), name+"-%")
				}
				b.ReportMetric(after.rss/(1<<20), "server-MiB")
				b.ReportMetric(after.redis/(1<<20), "redis-MiB")
			}
		})
	}
}

// hold opens the sockets from the first one up to all but the last one, spread over the replicas.
func (f *fleet) hold(b *testing.B, holders []*process, first, last int) {
	b.Helper()
	share := (last - first) / len(holders)
	for i, h := range holders {
		from := first + i*share
		if _, err := fmt.Fprintf(h.in, "open %s %d %d\n", f.replicas[i].Addr, from, from+share); err != nil {
			b.Fatal(err)
		}
	}
	for _, h := range holders {
		if answer, err := h.out.ReadString('\n'); err != nil || answer != "opened\n" {
			b.Fatal(answer, err)
		}
	}
}

// fleetUsage is what a fleet has used: CPU seconds of the replicas, Postgres and Redis, and bytes.
type fleetUsage struct {
	cpu        [3]float64
	rss, redis float64
}

func (f *fleet) used(b *testing.B) (u fleetUsage) {
	b.Helper()
	for i, pid := range f.pids() {
		rss, cpu, err := bench.Usage(pid)
		if err != nil {
			b.Fatal(err)
		}
		kind := max(0, i-len(f.replicas)+1)
		u.cpu[kind] += cpu
		if kind == 0 {
			u.rss += rss
		}
	}
	o, err := goredis.ParseURL(f.redis.URL())
	if err != nil {
		b.Fatal(err)
	}
	c := goredis.NewClient(o)
	defer c.Close()
	info, err := c.InfoMap(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	if u.redis, err = strconv.ParseFloat(info["Memory"]["used_memory"], 64); err != nil {
		b.Fatal(err)
	}
	return u
}
