package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// TestAFullReplicaRefuses checks that a replica refuses new sockets before it reaches its
// memory limit and the kernel kills it.
func TestAFullReplicaRefuses(t *testing.T) {
	world.restore(t)
	little := []string{"--set", "replicas=1", "--set", "resources.limits.memory=40Mi", "--set", "resources.requests.memory=40Mi"}
	if err := errors.Join(world.upgrade(t.Context(), little...), world.settle(t.Context())); err != nil {
		t.Fatal(err)
	}
	restarts := world.restarts(t)
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		open  []*client.Conn
		turns = map[string]int{} // number of handshakes by result
	)
	t.Cleanup(func() { closeAll(open) })
	dial := func(n int) {
		user := room.UserID(n%users + 1)
		customer := (user-1)/2*2 + 1
		token, _, err := keys.Mint(auth.Access, user, time.Now(), time.Hour)
		if err != nil {
			t.Error(err)
			return
		}
		how, conn := enter(t.Context(), client.Options{
			URL: fmt.Sprintf("%s/ws/chat/%d/%d/", world.ingress, customer, customer+1), Token: token, TLS: world.tls(), KeepAlive: -1,
		})
		mu.Lock()
		defer mu.Unlock()
		turns[how]++
		if conn != nil {
			open = append(open, conn)
		}
	}
	full := 0 // open sockets before the first refusal
	for n := 0; len(open) < 3_000 && turns["busy"]+turns["503"] < 1_000 && len(turns) <= 3; n += 50 {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { dial(n + i) })
		}
		all.Wait()
		if turns["busy"] == 0 {
			full = len(open)
		}
	}
	t.Logf("handshakes: %v; the first refusal came at %d open sockets", turns, full)
	others := maps.Clone(turns)
	maps.DeleteFunc(others, func(how string, _ int) bool { return how == "connected" || how == "busy" || how == "503" })
	if turns["busy"] == 0 || len(others) > 0 {
		t.Errorf("handshakes: %v, want connected, busy and perhaps 503", turns)
	}
	if now := world.restarts(t); now != restarts {
		t.Errorf("restarts: %s, before %s", now, restarts)
	}
	t.Logf("highest memory use relative to the limit: %.2f", query(t, fmt.Sprintf(
		`max_over_time(roomspa_memory_used_ratio{pod=%q}[1m])`, world.pods(t)[0])))
	closeAll(open)
	open = nil
	eventually(t, "new sockets are accepted again", time.Minute, func() bool {
		before := turns["connected"]
		dial(0)
		return turns["connected"] > before
	})
}

// enter enters a room and returns the result.
func enter(ctx context.Context, o client.Options) (how string, conn *client.Conn) {
	conn, err := client.Dial(ctx, o)
	if refused, ok := errors.AsType[*client.StatusError](err); ok {
		return fmt.Sprint(refused.Status), nil
	}
	if err != nil {
		return err.Error(), nil
	}
	frame, err := conn.Read(ctx)
	for ; err == nil; frame, err = conn.Read(ctx) {
		if frame.Type == "connected" {
			return "connected", conn
		}
	}
	conn.CloseNow()
	if closed, ok := errors.AsType[*client.CloseError](err); ok && closed.Code == 1013 {
		return "busy", nil
	}
	return err.Error(), nil
}

func closeAll(open []*client.Conn) {
	var all sync.WaitGroup
	for some := range slices.Chunk(open, 500) {
		all.Go(func() {
			for _, conn := range some {
				_ = conn.Close(1000, "") // the error does not matter
			}
		})
	}
	all.Wait()
}
