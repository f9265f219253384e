package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/client"
	"github.com/roomspa/roomspa/internal/judge"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/soak"
)

const (
	rooms    = 5
	password = "roomspa-e2e"
	// secret is the one of the manifests' stores.
	secret = "a-secret-for-development-that-everybody-knows"
)

// email of a user; odd ones are customers, each in a room with the next.
func email(id int) string { return fmt.Sprintf("user%d@example.com", id) }

// A crowd is clients that chat in all rooms, a message a second each, and write down
// what they see for the judge.
type crowd struct {
	world   *cluster
	dir     string
	run     judge.Run
	fault   judge.Fault // what was broken meanwhile, if anything
	members []*member
	stop    context.CancelFunc
	talking sync.WaitGroup
	running sync.WaitGroup
	last    [rooms]atomic.Int64 // the last message of a room that anybody knows of
}

type member struct {
	session *client.Session
	history *soak.History
	sockets atomic.Int64
	mu      sync.Mutex
	closes  []int // codes
}

// gather connects n clients, which begin to talk.
func gather(t *testing.T, c *cluster, n int) *crowd {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	g := &crowd{world: c, dir: t.TempDir(), run: judge.Run{Started: time.Now().UnixMicro()}}
	if err := os.Mkdir(filepath.Join(g.dir, judge.ClientsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g.stop = stop
	for i := range n {
		user := room.UserID(i%(2*rooms) + 1)
		token, _, err := keys.Mint(auth.Access, user, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		g.members = append(g.members, g.join(t, i, user, token))
	}
	for i, m := range g.members {
		g.running.Go(func() {
			if m.session.Run(context.WithoutCancel(ctx)) == nil {
				m.history.Add(judge.Entry{Kind: judge.Stayed})
			}
		})
		g.talking.Go(func() { m.talk(ctx, fmt.Sprint(i)) })
	}
	t.Cleanup(func() { g.leave(t) })
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
	m := &member{history: h}
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
				m.sockets.Add(1)
			case client.RecordClosed:
				m.mu.Lock()
				m.closes = append(m.closes, r.Code)
				m.mu.Unlock()
			case client.RecordAcknowledged:
				for last := &g.last[(customer-1)/2]; ; {
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

// talk sends a message a second until ctx ends.
func (m *member) talk(ctx context.Context, name string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			id := fmt.Sprintf("%s-%d", name, n)
			if _, err := m.session.SendMessage("message "+id, id); err != nil {
				return // the history says that it gave up
			}
		}
	}
}

// hush ends the talking, and waits until everybody has seen everything.
func (g *crowd) hush(t *testing.T, most time.Duration) {
	t.Helper()
	g.stop()
	g.talking.Wait()
	took := eventually(t, "everybody has seen everything", most, func() bool {
		for i, m := range g.members {
			seen, _ := m.session.Highest()
			if m.session.Unacknowledged() > 0 || seen < g.last[i%(2*rooms)/2].Load() {
				return false
			}
		}
		return true
	})
	t.Logf("everybody had seen everything %v after the last message", took.Round(time.Millisecond))
}

// closes returns how many sockets ended, by code.
func (g *crowd) closes() map[int]int {
	all := map[int]int{}
	for _, m := range g.members {
		m.mu.Lock()
		for _, code := range m.closes {
			all[code]++
		}
		m.mu.Unlock()
	}
	return all
}

func (g *crowd) leave(t *testing.T) {
	t.Helper()
	g.stop()
	g.talking.Wait()
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

// judge ends the crowd and says what came of it. Every violation fails the test.
func (g *crowd) judge(t *testing.T) *judge.Verdict {
	t.Helper()
	g.run.Ended = time.Now().UnixMicro()
	g.leave(t)
	g.write(t, judge.RunFile, g.run)
	if g.fault.Kind != "" {
		g.write(t, judge.FaultsFile, g.fault)
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

// write makes a file of one line for the judge.
func (g *crowd) write(t *testing.T, name string, v any) {
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

// forward returns a local address that leads to a port in the cluster while the test
// runs.
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
		_ = cmd.Wait() // it was killed
	})
	text := make([]byte, 4096)
	n, err := out.Read(text)
	found := forwarding.FindSubmatch(text[:n])
	if err != nil || found == nil {
		t.Fatalf("kubectl port-forward said %q, %v", text[:n], err)
	}
	return string(found[1])
}
