package session_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

func shedding() *frame.Close {
	return &frame.Close{Code: 1012, Reason: "rebalance", After: 700 * time.Millisecond}
}

func TestShedEndsTheOldestThatHasNothingInHand(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		done := make(chan struct{})
		w.handle = func(h *script) {
			h.receive = func(frame.Message) error { <-done; h.say("ack"); return nil }
		}
		var clients sync.WaitGroup
		conns, leaving := make([]*websocket.Conn, 4), make(chan int, 4)
		began := time.Now()
		for i := range conns {
			<-time.After(time.Second) // one is older than the next
			conns[i], _ = w.dial()
			clients.Go(func() {
				l := leaves(w.t, conns[i], began)
				if l.last.Reason == "rebalance" {
					wantClose(w.t, l.end, 1012, "rebalance ref="+ref)
					if l.after != 700*time.Millisecond {
						w.t.Errorf("told to come back in %v", l.after)
					}
				}
				leaving <- i
			})
		}
		_ = conns[0].WriteMessage(websocket.TextMessage, []byte("x")) // in hand from now on
		synctest.Wait()
		for _, want := range []int{1, 2, 3} {
			if !w.registry.Shed(shedding()) {
				w.t.Fatal("there was somebody to shed")
			}
			select {
			case got := <-leaving:
				if got != want {
					w.t.Errorf("socket %d was shed, want %d", got, want)
				}
			case <-time.After(5 * time.Second):
				w.t.Errorf("somebody else was shed than %d, who waits for an answer", want)
			}
		}
		synctest.Wait()
		if w.registry.Shed(shedding()) {
			w.t.Error("a socket was shed that waits for an answer")
		}
		close(done)
		synctest.Wait()
		if !w.registry.Shed(shedding()) {
			w.t.Error("the answer is out, and the socket was not shed")
		}
		clients.Wait()
	})
}

// Strangers do not make users move.
func TestAnonymousSocketsAreNotShed(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.anonymous = true
		_, _ = w.dial()
		synctest.Wait()
		if n := w.registry.SignedIn(); n != 0 || w.registry.Len() != 1 {
			w.t.Errorf("%d of %d sockets are of users", n, w.registry.Len())
		}
		if w.registry.Shed(shedding()) {
			w.t.Error("an anonymous socket was shed")
		}
		w.anonymous, w.endpoint = false, "chat"
		c, _ := w.dial()
		synctest.Wait()
		if n := w.registry.SignedIn(); n != 1 {
			w.t.Errorf("%d sockets are of users, want 1", n)
		}
		if !w.registry.Shed(shedding()) {
			w.t.Error("nobody was shed")
		}
		_, err := readAll(c)
		wantClose(w.t, err, 1012, "rebalance ref="+ref)
	})
}

func TestShedLeavesAloneWhoIsStillWrittenTo(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		release := make(chan struct{})
		w.handle = func(h *script) { h.next = func() { <-release } }
		c, _ := w.dial()
		synctest.Wait() // its writer looks for what there is
		if w.registry.Shed(shedding()) {
			w.t.Error("shed in the middle of a write")
		}
		close(release)
		synctest.Wait()
		if !w.registry.Shed(shedding()) {
			w.t.Error("not shed when everything was written")
		}
		_, err := readAll(c)
		wantClose(w.t, err, 1012, "rebalance ref="+ref)
	})
}

func TestShedFindsNobodyAmongNobody(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		if w.registry.Shed(shedding()) {
			w.t.Error("shed nobody")
		}
	})
}
