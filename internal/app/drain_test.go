package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	const wait = 3 * time.Second
	a, b := w.Start(t, "a", world.NoRateLimit, func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = wait, 6*time.Second }), w.Start(t, "b", world.NoRateLimit)
	a.WaitReady(t)
	b.WaitReady(t)
	const n = 20
	sockets := make([]*world.Socket, n)
	for i := range sockets {
		sockets[i] = a.Chat(t, world.Customer)
	}
	place, echo := a.Location(t, world.Therapist), a.Connect(t, world.Handshake{Path: "/ws/test/"})
	watcher := b.Chat(t, world.Therapist)

	// Some never stop talking: who is asked to go gets first the answers to what was stored.
	const talkers = 5
	var talking sync.WaitGroup
	var acknowledged [talkers]atomic.Int64
	for i := range talkers {
		s := a.ConnectAs(t, world.OtherCustomer, "/ws/chat/3/4/", nil)
		s.Expect(t, "connected")
		talking.Go(func() { talk(t, s, "talker-"+strconv.Itoa(i), &acknowledged[i]) })
	}

	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- a.Stop(t.Context()) }()
	world.Eventually(t, "/readyz is 503 at once", func() (bool, any) {
		status, answer := a.Readyz(t)
		return status == http.StatusServiceUnavailable && answer.Draining && !answer.Ready, answer
	})
	res, body := a.Raw(t, world.Upgrade("/ws/chat/1/2/")...)
	world.ExpectProblem(t, res, body, http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Sockets that are open live on through the wait, and what they send is kept.
	for i, s := range sockets {
		text := fmt.Sprintf(`{"message":"%d","client_message_id":"drain-%d"}`, i, i)
		_ = s.Conn.Write(t.Context(), websocket.MessageText, []byte(text)) // a busy machine may be too late
	}
	acks := map[string]bool{}
	delays := map[int64]bool{}
	cut := 0
	var mu sync.Mutex
	var ends sync.WaitGroup
	for _, s := range append(sockets, place, echo) {
		ends.Go(func() {
			end := s.WaitEnd(t)
			frames := s.Drain()
			mu.Lock()
			defer mu.Unlock()
			for _, f := range frames {
				if f.Type == "ack" {
					acks[f.ClientMessageID] = true
				}
			}
			c, ok := errors.AsType[websocket.CloseError](end)
			if !ok {
				cut++
				return
			}
			if c.Code != 1012 || c.Reason != "restart ref="+s.Ref() {
				t.Errorf("closed with %d %q", c.Code, c.Reason)
			}
			last := frames[len(frames)-1]
			if last.Type != "reconnect" || last.Reason != "restart" || last.AfterMS == nil || *last.AfterMS < 0 || *last.AfterMS > 5000 {
				t.Errorf("before the Close came %s", last.Raw)
				return
			}
			delays[*last.AfterMS] = true
		})
	}
	ends.Wait()
	talking.Wait()
	if took := time.Since(began); took < wait {
		t.Errorf("closed after %v, before the wait was over", took)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	if cut > n/2 { // on a busy machine the drain time may end before everybody was asked
		t.Errorf("%d of %d sockets were cut", cut, n+2)
	}
	if len(delays) < (n-cut)/2 {
		t.Errorf("%d sockets come back in %d different moments only", n+2, len(delays))
	}
	all := w.Messages(t)
	all = slices.DeleteFunc(all, func(s world.Message) bool { return s.Sender != int64(world.Customer) })
	if len(acks) != len(all) || len(all) < n/2 {
		t.Errorf("%d of %d messages are acknowledged, %d stored", len(acks), n, len(all))
	}
	world.ExpectSame(t, "the other replica's socket", watcher.ExpectMessages(t, 0, len(all)), all)
	for i := range acknowledged {
		name := "talker-" + strconv.Itoa(i)
		stored := world.Query[int64](t, w, "SELECT count(*) FROM roomspa.messages WHERE body = $1", name)
		if acked := acknowledged[i].Load(); acked != stored || stored == 0 {
			t.Errorf("%s: %d messages are stored, %d acknowledged", name, stored, acked)
		}
	}
}

// talk sends one message after the other, each when the one before is acknowledged, until the socket ends. It counts the
// acknowledgements.
func talk(t *testing.T, s *world.Socket, name string, acknowledged *atomic.Int64) {
	t.Helper()
	for n := 0; ; n++ {
		id := name + "-" + strconv.Itoa(n)
		text := fmt.Sprintf(`{"message":%q,"client_message_id":%q}`, name, id)
		if s.Conn.Write(t.Context(), websocket.MessageText, []byte(text)) != nil {
			return
		}
		for f := (world.Frame{}); f.Type != "ack" || f.ClientMessageID != id; {
			var open bool
			if f, open = s.Receive(); !open {
				return
			}
		}
		acknowledged.Add(1)
	}
}
