package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
	"github.com/roomspa/roomspa/internal/tool/soak"
)

const (
	users    = 2000
	password = "roomspa-e2e"
	// secret is the JWT secret of k8s/overlays/dev/stores.
	secret = "a-secret-for-development-that-everybody-knows"
)

// email returns the address of a user. Each odd id is a customer who has a room with the
// next id, a therapist.
func email(id int) string { return fmt.Sprintf("user%d@example.com", id) }

// A load is a number of clients and rooms, and the interval at which each client sends.
type load struct {
	clients, rooms int
	every          time.Duration
}

// A crowd is a set of clients that chat and record what they see for the judge.
type crowd struct {
	load
	world   *cluster
	dir     string
	run     judge.Run
	fault   judge.Fault // injected while the crowd chats; may be zero
	members []*member
	stop    context.CancelFunc
	sending sync.WaitGroup
	running sync.WaitGroup
	last    []atomic.Int64 // highest acknowledged seq, by room
}

type member struct {
	session *client.Session
	history *soak.History
	room    int
	stop    context.CancelFunc // stops sending
	left    atomic.Bool        // disconnected by the test
	sockets atomic.Int64
	mu      sync.Mutex
	ends    []end
}

// An end is the end of a socket, and the time of the next connection.
type end struct {
	code     int
	at, back time.Time
}

// connectCrowd connects the clients of l, which start to send.
func connectCrowd(t *testing.T, c *cluster, l load) *crowd {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	g := &crowd{load: l, world: c, dir: t.TempDir(), run: judge.Run{Started: time.Now().UnixMicro()}, last: make([]atomic.Int64, l.rooms)}
	if err := os.Mkdir(filepath.Join(g.dir, judge.ClientsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g.stop = stop
	for i := range l.clients {
		user := room.UserID(i%(2*l.rooms) + 1)
		token, _, err := keys.Mint(auth.Access, user, time.Now(), 3*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		g.members = append(g.members, g.join(t, i, user, token))
	}
	t.Cleanup(func() { g.close(t) })
	for i, m := range g.members {
		own, stop := context.WithCancel(ctx)
		m.stop = stop
		g.running.Go(func() {
			switch {
			case m.session.Run(context.WithoutCancel(ctx)) != nil:
			case m.left.Load():
				m.history.Add(judge.Entry{Kind: judge.Left})
			default:
				m.history.Add(judge.Entry{Kind: judge.Stayed})
			}
		})
		g.sending.Go(func() { m.send(own, fmt.Sprintf("%d-%d", g.run.Started, i), l.every) })
		// Limits the number of concurrent handshakes.
		eventually(t, "clients connect", time.Minute, func() bool { return i < 50 || g.members[i-50].sockets.Load() > 0 })
	}
	eventually(t, "all clients are connected", 30*time.Second, func() bool {
		for _, m := range g.members {
			if m.sockets.Load() == 0 {
				return false
			}
		}
		return true
	})
	return g
}

func (g *crowd) join(t *testing.T, n int, user room.UserID, token string) *member {
	t.Helper()
	h, err := soak.NewHistory(filepath.Join(g.dir, judge.ClientsDir, fmt.Sprintf("%03d.jsonl", n)))
	if err != nil {
		t.Fatal(err)
	}
	customer := (user-1)/2*2 + 1
	h.Add(judge.Entry{
		Kind: judge.Begins, Client: fmt.Sprint(n), User: int64(user), Customer: int64(customer), Therapist: int64(customer + 1),
	})
	m := &member{history: h, room: int(customer-1) / 2}
	m.session = client.NewSession(client.SessionOptions{
		Socket: client.Options{
			URL:   fmt.Sprintf("%s/ws/chat/%d/%d/", g.world.ingress, customer, customer+1),
			Token: token, TLS: g.world.tls(),
		},
		MaxBackoff: 3 * time.Second,
		On: func(e client.Event) {
			if e.Kind == client.GaveUp {
				h.Add(judge.Entry{Kind: judge.GaveUp, Ref: e.Ref, Detail: e.Err.Error()})
			}
		},
		Record: func(r client.Record) {
			switch r.Kind { //nolint:exhaustive // the others are the history's
			case client.RecordConnected:
				m.mu.Lock()
				if n := len(m.ends); n > 0 {
					m.ends[n-1].back = r.At
				}
				m.mu.Unlock()
				m.sockets.Add(1)
			case client.RecordClosed:
				m.mu.Lock()
				m.ends = append(m.ends, end{code: r.Code, at: r.At})
				m.mu.Unlock()
			case client.RecordAcknowledged:
				for last := &g.last[m.room]; ; {
					if old := last.Load(); r.Seq <= old || last.CompareAndSwap(old, r.Seq) {
						break
					}
				}
			default:
			}
			h.Record(r)
		},
	})
	return m
}

// send sends messages until ctx ends. The first one has a random delay.
func (m *member) send(ctx context.Context, name string, every time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(every)): //nolint:gosec // no secret
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			id := fmt.Sprintf("%s-%d", name, n)
			if _, err := m.session.SendMessage("message "+id, id); err != nil {
				return // the session gave up, which its history records
			}
		}
	}
}

// finish stops sending and waits until all clients have seen all messages.
func (g *crowd) finish(t *testing.T, limit time.Duration) {
	t.Helper()
	g.stop()
	g.sending.Wait()
	took := eventually(t, "all clients have seen all messages", limit, func() bool {
		for _, m := range g.members {
			seen, _ := m.session.Highest()
			if !m.left.Load() && (m.session.Unacknowledged() > 0 || seen < g.last[m.room].Load()) {
				return false
			}
		}
		return true
	})
	t.Logf("all clients had seen all messages %v after the last one", took.Round(time.Millisecond))
}

// shrink disconnects all clients except the first n.
func (g *crowd) shrink(t *testing.T, n int) {
	t.Helper()
	for _, m := range g.members[n:] {
		m.stop()
	}
	eventually(t, "all messages of the leaving clients are acknowledged", 30*time.Second, func() bool {
		for _, m := range g.members[n:] {
			if m.session.Unacknowledged() > 0 {
				return false
			}
		}
		return true
	})
	for _, m := range g.members[n:] {
		m.left.Store(true)
		m.session.Close(1000, "")
	}
}

// acknowledged returns the number of acknowledged messages.
func (g *crowd) acknowledged() (n int64) {
	for i := range g.last {
		n += g.last[i].Load()
	}
	return n
}

// ends returns the ends of all sockets so far.
func (g *crowd) ends() (all []end) {
	for _, m := range g.members {
		m.mu.Lock()
		all = append(all, m.ends...)
		m.mu.Unlock()
	}
	return all
}

// closes returns the number of closed sockets, by code.
func (g *crowd) closes() map[int]int {
	all := map[int]int{}
	for _, e := range g.ends() {
		all[e.code]++
	}
	return all
}

// close disconnects all clients and closes their histories.
func (g *crowd) close(t *testing.T) {
	t.Helper()
	g.stop()
	g.sending.Wait()
	for _, m := range g.members {
		m.session.Close(1000, "")
	}
	g.running.Wait()
	for _, m := range g.members {
		if err := m.history.Close(); err != nil {
			t.Error(err)
		}
	}
	g.members = nil
}

// judge disconnects the crowd and checks what the clients have seen against Postgres.
// Each violation fails the test.
func (g *crowd) judge(t *testing.T) *judge.Verdict {
	t.Helper()
	g.run.Ended = time.Now().UnixMicro()
	g.close(t)
	g.writeLine(t, judge.RunFile, g.run)
	if g.fault.Kind != "" {
		g.writeLine(t, judge.FaultsFile, g.fault)
	}
	url := "postgres://roomspa:roomspa@" + forward(t, g.world, "service/postgres", "5432") + "/roomspa?sslmode=disable"
	if err := soak.Dump(t.Context(), url, g.dir); err != nil {
		t.Fatal(err)
	}
	v, err := judge.Judge(os.DirFS(g.dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Violations {
		t.Error(v.Violations[i].String())
	}
	t.Logf("%d clients, %d messages, %d reconnects, %d violations", v.Clients, v.Messages, v.Reconnects, v.Count)
	return v
}

// writeLine writes a file with one line of JSON for the judge.
func (g *crowd) writeLine(t *testing.T, name string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(filepath.Join(g.dir, name), append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:\d+)`)

// forward forwards a port of the cluster until the test ends, and returns the local
// address.
func forward(t *testing.T, c *cluster, to, port string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", "--namespace", c.namespace, "port-forward", to, ":"+port)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // returns the error of Kill
	})
	text := make([]byte, 4096)
	n, err := out.Read(text)
	found := forwarding.FindSubmatch(text[:n])
	if err != nil || found == nil {
		t.Fatalf("kubectl port-forward: output %q, %v", text[:n], err)
	}
	return string(found[1])
}
