package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// largeVariable lets the two runs of this file be as large as in production, and the
// one about rebalancing watch for as many minutes: ROOMSPA_TEST_LARGE=10. They take
// two processors for themselves.
const largeVariable = "ROOMSPA_TEST_LARGE"

func large() (minutes int, yes bool) {
	minutes, err := strconv.Atoi(os.Getenv(largeVariable))
	return minutes, err == nil && minutes > 0
}

// assembled is a scene without links: so many clients, who are connected to the
// first replicas and talk, so many messages a second together.
func assembled(t *testing.T, replicas, clients int, rate float64, options ...string) *scene {
	t.Helper()
	t.Parallel()
	rooms := clients / roomSize
	w := world.New(t, world.EmptyDatabase)
	if err := populate(t.Context(), w.DatabaseURL, rooms); err != nil {
		t.Fatal(err)
	}
	s := newDeployment(t, w, options...)
	sc := &scene{deployment: s, world: w, hush: func() {}, began: time.Now(), crowd: &crowd{}}
	sc.join(t, replicas)
	sc.runner = newRunner(s, sc.crowd, sc.began, nil)
	for n := range rooms * roomSize {
		i, seat := n/roomSize, n%roomSize
		p := &roomState{}
		if seat == 0 {
			p.room.Customer, p.room.Therapist = customerOf(i), therapistOf(i)
		} else {
			p = sc.crowd.devices[n-1].room
		}
		d, err := s.seatDevice(i, seat, p, rand.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		if seat < senders {
			d.rate = rate / float64(rooms*senders)
		}
		sc.crowd.devices = append(sc.crowd.devices, d)
	}
	sc.reach(sc.replicas...)
	sc.crowd.start(t.Context())
	closed := sync.OnceValue(sc.crowd.close)
	t.Cleanup(func() { _ = closed() })
	sc.waitConnected(t)
	var ctx context.Context
	ctx, sc.hush = context.WithCancel(t.Context())
	for _, d := range sc.crowd.devices {
		sc.talking.Go(func() { d.sendAtRate(ctx) })
	}
	sc.acknowledge(t, 25)
	return sc
}

// join adds replicas, which nobody reaches yet, and waits until they are ready.
func (s *scene) join(t *testing.T, n int) {
	t.Helper()
	for range n {
		s.process(t, fmt.Sprintf("replica-%d", len(s.replicas)+1))
		r := s.replicas[len(s.replicas)-1]
		world.Eventually(t, r.name+" is ready", func() (bool, any) {
			body, status := r.ops(t, "/readyz")
			return status == http.StatusOK, string(body)
		})
	}
}

// reach is who the balancer in front sends clients to, by chance.
func (s *scene) reach(list ...*replica) {
	addrs := make([]string, len(list))
	for i, r := range list {
		addrs[i] = r.addr
	}
	for _, d := range s.crowd.devices {
		d.network.mu.Lock()
		d.network.addrs = func(bool) []string { return slices.Clone(addrs) }
		d.network.mu.Unlock()
	}
}

// ops asks a replica's other listener.
func (r *replica) ops(t *testing.T, path string) (body []byte, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", r.program.Second(), path), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := noKeepAlive.Do(req)
	if err != nil {
		return nil, 0
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		return nil, 0
	}
	return body, res.StatusCode
}

// metric sums the lines of a metric that hold some text.
func (r *replica) metric(t *testing.T, name, label string) (sum float64) {
	t.Helper()
	body, _ := r.ops(t, "/metrics")
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, name) && strings.Contains(line, label) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// A move is one close with 1012, and when the client was back.
type move struct{ closed, back time.Time }

// moves reads the histories, and counts how else the sockets of clients ended who
// had got in: on a busy machine a pong may be late.
func (s *scene) moves(t *testing.T) (all []move, others int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, judge.ClientsDir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var closed time.Time
		in := false
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var e judge.Entry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			switch {
			case e.Kind == judge.Closed && e.Code == 1012:
				closed = time.UnixMicro(e.At)
				in = false
			case e.Kind == judge.Closed && e.Code != 1000 && in:
				others++
				in = false
			case e.Kind == judge.Connected:
				if in = true; !closed.IsZero() {
					all = append(all, move{closed, time.UnixMicro(e.At)})
					closed = time.Time{}
				}
			}
		}
	}
	return all, others
}

// histogram counts in how many parts of a time something happened.
func histogram(began time.Time, over time.Duration, parts int, at func(move) time.Time, moves []move) []int {
	counts := make([]int, parts)
	for _, m := range moves {
		counts[min(parts-1, max(0, int(at(m).Sub(began)*time.Duration(parts)/over)))]++
	}
	return counts
}

func TestTheClientsOfAReplicaThatIsStoppedLeaveOneByOneAndLoseNothing(t *testing.T) {
	clients, rate, drain := 63, 60.0, 6*time.Second
	_, quiet := large() // the machine has nothing else to do
	if quiet {
		clients, rate, drain = 2002, 100, 20*time.Second
	}
	s := assembled(t, 1, clients, rate, "ROOMSPA_DRAIN_TIMEOUT="+drain.String(), "ROOMSPA_FLUSH_TIMEOUT=15s", "ROOMSPA_GRACE_PERIOD=40s",
		"ROOMSPA_PONG_TIMEOUT=20s", "ROOMSPA_PING_INTERVAL=20s")
	s.join(t, 1)
	s.reach(s.replicas[1]) // out of the endpoints, as the wait is for
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	if err := s.replicas[0].program.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if took < drain/2 || quiet && took > drain+5*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "replica-1.log")); err != nil || bytes.Contains(text, []byte(`level=ERROR msg="[Replica]`)) {
		t.Errorf("its exit code is not 0: %v %s", err, text)
	}
	s.acknowledge(t, 25)
	v := s.verdict(t)
	moves, others := s.moves(t)
	const parts = 5
	pace := drain - 2500*time.Millisecond
	asked := histogram(began, pace, parts, func(m move) time.Time { return m.closed }, moves)
	back := histogram(began, drain, 2*parts, func(m move) time.Time { return m.back }, moves)
	t.Logf("it ended after %v; closed in each fifth of %v: %v; back in each tenth of %v: %v", took, pace, asked, drain, back)
	if !quiet { // some may be cut at the end of the drain; internal/session tests the times, in virtual time
		if len(moves) < clients/2 || v.Reconnects < clients {
			t.Errorf("%d of %d clients were asked to leave with 1012, %d reconnects", len(moves), clients, v.Reconnects)
		}
		return
	}
	if len(moves) != clients || others != 0 || v.Reconnects != clients {
		t.Errorf("%d of %d clients were asked to leave with 1012, %d sockets ended otherwise, %d reconnects", len(moves), clients, others, v.Reconnects)
	}
	for _, n := range asked {
		if n < clients/parts/4 || n > clients/parts*3 {
			t.Errorf("they did not leave evenly: %v", asked)
			break
		}
	}
}

func TestEmptyReplicasAreFilledAndNothingIsLost(t *testing.T) {
	minutes, yes := large()
	if !yes {
		t.Skip("it takes minutes: " + largeVariable + "=10 runs it")
	}
	const clients, rate = 3003, 10.0
	s := assembled(t, 3, clients, 100, "ROOMSPA_REBALANCE_RATE=10", "ROOMSPA_PONG_TIMEOUT=20s", "ROOMSPA_PING_INTERVAL=20s",
		"ROOMSPA_DRAIN_TIMEOUT=10s")
	s.join(t, 3)
	s.reach(s.replicas...)
	began := time.Now()
	counts := func() (list []int) {
		for _, r := range s.replicas {
			list = append(list, int(r.metric(t, "roomspa_connections", "")))
		}
		return list
	}
	sheds := func() (n float64) {
		for _, r := range s.replicas {
			n += r.metric(t, "roomspa_rebalanced_connections_total", "")
		}
		return n
	}
	ratio := func(list []int) float64 { return float64(slices.Max(list)) / float64(max(1, slices.Min(list))) }
	t.Logf("at first: %v", counts())
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for ratio(counts()) >= 1.3 {
		if time.Since(began) > 4*time.Minute {
			t.Fatalf("after %v: %v", time.Since(began), counts())
		}
		<-tick.C
	}
	t.Logf("below 1.3 after %v: %v", time.Since(began), counts())
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); <-tick.C { // the last few
	}
	settled, all := sheds(), counts()
	t.Logf("%g were shed, after %v: %v", settled, time.Since(began), all)
	for until := time.Now().Add(time.Duration(minutes) * time.Minute); time.Now().Before(until); <-tick.C {
		if all = counts(); ratio(all) >= 1.3 {
			t.Fatalf("uneven again: %v", all)
		}
	}
	if later := sheds() - settled; later != 0 {
		t.Errorf("%g more were shed in the %d minutes after", later, minutes)
	}
	v := s.verdict(t)
	moves, others := s.moves(t)
	closes := make([]int64, len(moves))
	for i, m := range moves {
		closes[i] = m.closed.UnixNano()
	}
	slices.Sort(closes)
	most := 0
	for i := range closes {
		j := i
		for j < len(closes) && closes[j] < closes[i]+int64(time.Second) {
			j++
		}
		most = max(most, j-i)
	}
	t.Logf("in the end: %v; %d reconnects, %d of them for another reason; at most %d closes in one second, of three replicas together", all, v.Reconnects, others, most)
	if float64(most) > 3*rate*1.2 { // they are seen here a little closer together, or further apart, than they were sent
		t.Errorf("%d in one second, at most %g are allowed", most, 3*rate)
	}
}
