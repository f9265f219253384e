package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// crowded has room for more sockets than the other tests need.
func crowded() session.Options {
	o := limits()
	o.SoftLimit, o.HardLimit = 1000, 1000
	return o
}

// A leave is how a client was asked to go elsewhere.
type leave struct {
	at    time.Duration // since the beginning
	after time.Duration
	end   error
	last  frame.Reconnect
}

// leaves reads until the socket ends.
func leaves(t *testing.T, c *websocket.Conn, began time.Time) (l leave) {
	t.Helper()
	texts, end := readAll(c)
	l.at, l.end = time.Since(began), end
	if len(texts) == 0 {
		t.Errorf("ended with %v, and nothing was said before", end)
		return l
	}
	if err := json.Unmarshal([]byte(texts[len(texts)-1]), &l.last); err != nil {
		t.Error(err)
	}
	l.after = time.Duration(l.last.AfterMS) * time.Millisecond
	return l
}

func TestDrainAsksEverybodyToLeaveAndWaitsForAnswersOwed(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) {
			h.receive = func(frame.Message) error {
				<-time.After(3 * time.Second) // a slow commit
				h.say("ack")
				return nil
			}
		}
		c, h := w.dial()
		_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		synctest.Wait()
		var texts []string
		var end error
		done := make(chan struct{})
		go func() { defer close(done); texts, end = readAll(c) }()
		w.registry.Drain(w.t.Context(), 5*time.Second) // asked before the commit is done
		<-done
		<-h.closed
		wantClose(w.t, end, 1012, "restart ref="+ref)
		if len(texts) != 2 || texts[0] != "ack" || !strings.Contains(texts[1], `"reconnect"`) {
			w.t.Fatalf("frames %q, want the ack before the reconnect", texts)
		}
		if w.registry.Len() != 0 {
			w.t.Fatalf("%d sockets are left", w.registry.Len())
		}
	})
}

func TestDrainCutsWhoDoesNotLeave(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		_, h := w.dial() // reads nothing
		began := time.Now()
		w.registry.Drain(w.t.Context(), 5*time.Second)
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			w.t.Fatalf("drained in %v", d)
		}
		<-h.closed
	})
}

func TestDrainAsksOneAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct{ over, asked, delay time.Duration }{
		"in its time":                         {20 * time.Second, 17500 * time.Millisecond, time.Second},
		"a short one, with longer delays":     {3 * time.Second, 1500 * time.Millisecond, 1500 * time.Millisecond},
		"a long one, with no longer a delay":  {300 * time.Second, 297500 * time.Millisecond, time.Second},
		"one that is shorter than a farewell": {time.Second, 500 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o := crowded()
			o.PingInterval = time.Hour
			inBubble(t, o, func(w *world) {
				const n = 200
				all := make([]leave, n)
				var clients sync.WaitGroup
				began := time.Now()
				for i := range n {
					conn, _ := w.dial()
					clients.Go(func() { all[i] = leaves(w.t, conn, began) })
				}
				w.registry.Drain(w.t.Context(), c.over)
				took := time.Since(began)
				clients.Wait()
				const parts = 5
				var histogram [parts]int
				different := map[time.Duration]bool{}
				for _, l := range all {
					wantClose(w.t, l.end, 1012, "restart ref="+ref)
					if l.at > c.asked || l.after > c.delay || l.last.Reason != "restart" {
						w.t.Errorf("asked after %v to come back in %v for %q", l.at, l.after, l.last.Reason)
					}
					histogram[min(parts-1, int(l.at*parts/c.asked))]++
					different[l.after] = true
				}
				for _, k := range histogram {
					if k < n/parts*3/4 || k > n/parts*5/4 {
						w.t.Errorf("asked in each fifth of the time: %v", histogram)
						break
					}
				}
				if len(different) < n/2 {
					w.t.Errorf("%d delays for %d clients", len(different), n)
				}
				if took < c.asked*9/10 || took > c.over {
					w.t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestDrainClosesInTimeWhoIgnoresIt(t *testing.T) {
	inBubble(t, crowded(), func(w *world) {
		const over = 20 * time.Second
		began := time.Now()
		var clients sync.WaitGroup
		for range 20 {
			c, _ := w.dial()
			c.SetCloseHandler(func(int, string) error { return nil }) // no answer, and it stays
			clients.Go(func() { _, _ = readAll(c) })
		}
		w.registry.Drain(w.t.Context(), over)
		if d := time.Since(began); d > over {
			w.t.Errorf("drained in %v", d)
		}
		clients.Wait()
	})
}

func TestDrainIsNotHeldUpByAStoreThatHasStalled(t *testing.T) {
	inBubble(t, crowded(), func(w *world) {
		w.handle = func(h *script) { h.stalls = true }
		c, h := w.dial()
		_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		synctest.Wait()
		const over = 5 * time.Second
		began := time.Now()
		w.registry.Drain(w.t.Context(), over)
		if d := time.Since(began); d < over || d > over+100*time.Millisecond {
			w.t.Errorf("drained in %v", d)
		}
		<-h.closed
	})
}

func TestDrainHurriesWhenItsContextEnds(t *testing.T) {
	inBubble(t, crowded(), func(w *world) {
		for range 20 {
			w.dial() // nobody reads
		}
		ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Second, errors.New("a second signal"))
		defer cancel()
		began := time.Now()
		w.registry.Drain(ctx, time.Hour)
		if d := time.Since(began); d > 1200*time.Millisecond {
			w.t.Errorf("drained in %v", d)
		}
	})
}
