package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/app"
)

func TestSoftLimit(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.SoftLimit = 2 })
	first, second := r.chat(t, customer), r.location(t, therapist)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/", "/ws/test/"} {
		g := r.room(t, path, customer, nil).refusal(t, 1013, "busy")
		if *g.AfterMS < 1000 || *g.AfterMS > 5000 {
			t.Errorf("come back after %d ms", *g.AfterMS)
		}
	}
	first.quiet(t)
	second.quiet(t)
	_ = second.conn.CloseNow()
	r.findsRoom(t)
}

func TestHardLimit(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.SoftLimit, o.HardLimit = 2, 2 })
	first, second := r.chat(t, customer), r.location(t, therapist)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/test/"} {
		res, body := r.raw(t, shake(path)...)
		d := problemOf(t, res, body, http.StatusServiceUnavailable)
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 5 {
			t.Errorf("Retry-After is %q: %+v", res.Header.Get("Retry-After"), d)
		}
	}
	first.quiet(t)
	second.quiet(t)
	_ = second.conn.CloseNow()
	r.findsRoom(t)
}

// findsRoom waits until somebody is let in.
func (r *replica) findsRoom(t *testing.T) {
	t.Helper()
	eventually(t, patience, "there is room again", func() (bool, any) {
		s, res, err := r.try(t, dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", r.world.token(t, therapist)}})
		if err != nil {
			return false, res
		}
		g := s.next(t)
		return g.Type == "connected", g.raw
	})
}

func TestAHandshakeThatWaitsTooLongForItsTurnIsToldToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a", func(o *app.Options) {
		o.MaxHandshakes, o.DatabaseLockTimeout, o.DatabaseStatementTimeout = 1, time.Minute, time.Minute
	})
	conn, err := pgx.Connect(t.Context(), w.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE roomspa.users"); err != nil {
		t.Fatal(err)
	}
	first := r.room(t, "/ws/chat/1/2/", customer, nil) // it has the only turn
	eventually(t, patience, "the first one has its turn", func() (bool, any) {
		lines := r.text.about(first.header.Get("Roomspa-Ref"))
		return containsFold(lines, "Decoded token payload"), lines
	})
	began := time.Now()
	r.room(t, "/ws/chat/1/2/", therapist, nil).refusal(t, 1013, "busy")
	if took := time.Since(began); took < 1900*time.Millisecond || took > busy(4*time.Second) {
		t.Errorf("told to come back after %v, want 2 s", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.want(t, "connected")
	r.chat(t, therapist)
}

func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const wait = 3 * time.Second
	a, b := w.start(t, "a", fast, func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = wait, 6*time.Second }), w.start(t, "b", fast)
	a.becomesReady(t)
	b.becomesReady(t)
	const n = 20
	sockets := make([]*socket, n)
	for i := range sockets {
		sockets[i] = a.chat(t, customer)
	}
	place, echo := a.location(t, therapist), a.connect(t, dial{path: "/ws/test/"})
	watcher := b.chat(t, therapist)

	// Some never stop talking: who is asked to go gets first the answers to what was stored.
	const talkers = 5
	var talking sync.WaitGroup
	for i := range talkers {
		s := a.room(t, "/ws/chat/3/4/", stranger, nil)
		s.want(t, "connected")
		talking.Go(func() { s.talk(t, w, "talker-"+strconv.Itoa(i)) })
	}

	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- a.stop(t.Context()) }()
	eventually(t, wait/2, "/readyz is 503 at once", func() (bool, any) {
		status, answer := a.readyz(t)
		return status == http.StatusServiceUnavailable && answer.Draining && !answer.Ready, answer
	})
	res, body := a.raw(t, shake("/ws/chat/1/2/")...)
	problemOf(t, res, body, http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Sockets that are open live on through the wait, and what they send is kept.
	for i, s := range sockets {
		s.say(t, strconv.Itoa(i), "drain-"+strconv.Itoa(i))
	}
	acks := map[string]bool{}
	delays := map[int64]bool{}
	var mu sync.Mutex
	var ends sync.WaitGroup
	for _, s := range append(sockets, place, echo) {
		ends.Go(func() {
			c, before := s.closed(t)
			if c.Code != 1012 || c.Reason != "restart ref="+s.header.Get("Roomspa-Ref") {
				t.Errorf("closed with %d %q", c.Code, c.Reason)
			}
			last := before[len(before)-1]
			if last.Type != "reconnect" || last.Reason != "restart" || last.AfterMS == nil || *last.AfterMS < 0 || *last.AfterMS > 5000 {
				t.Errorf("before the Close came %s", last.raw)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			delays[*last.AfterMS] = true
			for _, g := range before {
				if g.Type == "ack" {
					acks[g.ClientMessageID] = true
				}
			}
		})
	}
	ends.Wait()
	talking.Wait()
	if took := time.Since(began); took < wait {
		t.Errorf("closed after %v, before the wait was over", took)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Errorf("Stop: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Stop has not returned")
	}
	if len(delays) < n/2 {
		t.Errorf("%d sockets come back in %d different moments only", n+2, len(delays))
	}
	all := stored(t, w)
	all = slices.DeleteFunc(all, func(s saying) bool { return s.Sender != int64(customer) })
	if len(acks) != n || len(all) != n {
		t.Errorf("%d of %d messages are acknowledged, %d stored", len(acks), n, len(all))
	}
	equal(t, "the other replica's socket", watcher.hears(t, 0, n), all)
}

// talk says one thing after the other until the server closes. It then expects
// that everything that was stored has been acknowledged.
func (s *socket) talk(t *testing.T, w *world, name string) {
	acked := 0
	for n := 0; ; n++ {
		text := fmt.Sprintf(`{"message":"%s","client_message_id":"%s-%d"}`, name, name, n)
		if s.conn.Write(t.Context(), websocket.MessageText, []byte(text)) != nil {
			break
		}
		for g := range s.frames {
			if g.Type == "ack" && g.ClientMessageID == fmt.Sprintf("%s-%d", name, n) {
				acked++
				break
			}
		}
	}
	if n := query[int](t, w, "SELECT count(*) FROM roomspa.messages WHERE body = $1", name); n != acked || n == 0 {
		t.Errorf("%s: %d messages are stored, %d acknowledged", name, n, acked)
	}
}

func TestStopHurriesWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = time.Hour, time.Hour })
	r.chat(t, customer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := r.stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > busy(5*time.Second) {
		t.Errorf("it took %v", took)
	}
}

func TestWhoKeepsBreakingTheRateIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const burst, warnings = 5, 40
	r := w.ready(t, "a", func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.001, burst })
	for _, endpoint := range []string{"chat", "location", "test"} {
		t.Run(endpoint, func(t *testing.T) {
			path := map[string]string{"chat": "/ws/chat/1/2/", "location": "/ws/location/1/2/", "test": "/ws/test/"}[endpoint]
			s := r.room(t, path, customer, nil)
			for i := range burst + warnings + 5 {
				text := fmt.Sprintf(`{"message":"x","latitude":1,"longitude":2,"client_message_id":"%d"}`, i)
				if s.conn.Write(t.Context(), websocket.MessageText, []byte(text)) != nil {
					break // closed already
				}
			}
			c, before := s.closed(t)
			if c.Code != 1008 || c.Reason != "rate_limited ref="+s.header.Get("Roomspa-Ref") {
				t.Fatalf("closed with %d %q", c.Code, c.Reason)
			}
			warned := 0
			for _, g := range before {
				if g.Type != "error" {
					continue
				}
				if g.Code != "rate_limited" {
					t.Errorf("warned with %s", g.raw)
				}
				if g.Close == 0 {
					warned++
				}
				if endpoint == "chat" && g.Close == 0 && g.ClientMessageID == "" {
					t.Errorf("which message was not handled? %s", g.raw)
				}
			}
			// Warnings may be overtaken by the Close that they led to, if the client sends faster than it is written to.
			if warned < 1 || warned > warnings+1 {
				t.Errorf("%d warnings, want some, and %d at most", warned, warnings+1)
			}
		})
	}
	if n := query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != burst {
		t.Errorf("%d messages are stored, want the first %d", n, burst)
	}
}
