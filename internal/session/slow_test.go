package session_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/session"
)

// readSlowly reads n bytes, a hundredth of rate every 10 ms.
func readSlowly(r io.Reader, n, rate int) error {
	part := make([]byte, rate/100)
	for n > 0 {
		time.Sleep(10 * time.Millisecond) // of the bubble's clock
		m, err := io.ReadFull(r, part[:min(n, len(part))])
		if n -= m; err != nil {
			return err
		}
	}
	return nil
}

func TestALargeFrameMayTakeLongerThanTheWriteTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size, rate int
		takes      time.Duration
	}{
		"a page on a slow line":          {200 << 10, 20 << 10, 10 * time.Second},
		"the largest, on a slower one":   {256 << 10, 5 << 10, 51 * time.Second},
		"the largest, as slow as may be": {256 << 10, 3300, 79 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o := limits()
			o.Budget, o.PingInterval = budget.New(4<<20), time.Hour
			inBubble(t, o, func(w *world) {
				conn, h := w.dial()
				began := time.Now()
				h.say(strings.Repeat("x", c.size))
				if err := readSlowly(conn.NetConn(), 10+c.size, c.rate); err != nil {
					w.t.Fatalf("after %v: %v", time.Since(began), err)
				}
				if d := time.Since(began); d < c.takes || d > c.takes+2*time.Second {
					w.t.Errorf("it took %v, want %v", d, c.takes)
				}
				h.say("next")
				if _, p, err := conn.ReadMessage(); err != nil || string(p) != "next" {
					w.t.Errorf("got %q, %v", p, err)
				}
				if held := o.Budget.Held(); held != 0 {
					w.t.Errorf("%d bytes were not given back", held)
				}
				_ = conn.Close()
			})
		})
	}
}

func TestALargeFrameHasATimeLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken, rate int // bytes that the peer reads, and bytes a second
		reason      string
		ends        time.Duration
	}{
		"who stops is cut":     {100 << 10, 20 << 10, "abnormal", 20 * time.Second},
		"who is slow is ended": {256 << 10, 1000, "slow_consumer", 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan *session.End, 1)
			o := limits()
			o.PingInterval, o.OnEnd = time.Hour, func(e *session.End) { ends <- e }
			inBubble(t, o, func(w *world) {
				conn, h := w.dial()
				h.say(strings.Repeat("x", 256<<10))
				_ = readSlowly(conn.NetConn(), c.taken, c.rate)
				<-h.closed
				synctest.Wait()
				if e := <-ends; e.Reason != c.reason || e.Age() < c.ends || e.Age() > c.ends+time.Second {
					w.t.Errorf("ended with %s after %v, want %s after %v", e.Reason, e.Age(), c.reason, c.ends)
				}
			})
		})
	}
}

func TestPeerThatTakesNoByteIsCut(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		_, h := w.dial()
		began := time.Now()
		h.say("nobody reads this")
		<-h.closed
		if d := time.Since(began); d != 10*time.Second {
			w.t.Fatalf("cut after %v, want 10s", d)
		}
	})
}

func TestPeerThatTakesTooFewBytesGetsTheMessageInProgressAndItsClose(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		first, second := strings.Repeat("a", 3000), strings.Repeat("b", 3000)
		h.say(first, second)
		raw := c.NetConn()
		var got []byte
		read := func(n int) {
			b := make([]byte, n)
			for len(b) > 0 {
				m, err := raw.Read(b)
				if err != nil {
					w.t.Fatalf("read: %v", err)
				}
				got, b = append(got, b[:m]...), b[m:]
			}
		}
		read(100) // some bytes, and then a long pause
		<-time.After(15 * time.Second)
		read(4 + 3000 - 100)
		if string(got[4:]) != first {
			w.t.Fatal("the message in progress came damaged")
		}
		texts, err := readAll(c)
		wantClose(w.t, err, 1013, "slow_consumer ref="+ref)
		if len(texts) != 1 || !strings.Contains(texts[0], `"slow_consumer"`) {
			w.t.Fatalf("after the message in progress came %.80q", texts)
		}
		<-h.closed
	})
}
