package session_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

func TestLimitsOnSockets(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		for i := range 12 {
			_, h := w.dial()
			if (h.full == session.ConnectionLimit) != (i >= 10) {
				w.t.Fatalf("socket %d: %q", i+1, h.full)
			}
		}
		client, server := net.Pipe()
		w.conns <- server
		_, resp, err := websocket.NewClient(client, mustURL("ws://roomspa.test/"), nil, 0, 0)
		if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			w.t.Fatalf("the 13th socket got %v, %v", resp, err)
		}
		_ = client.Close()
	})
}

func TestLimitsOnMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share   float64
		sockets int // that are there already, of 10 and 12
		full    session.Limit
		refused bool
	}{
		"there is room":                       {0.90, 9, "", false},
		"it is short":                         {0.901, 0, session.MemoryLimit, false},
		"it is short to the end of that":      {0.95, 0, session.MemoryLimit, false},
		"there is none":                       {0.951, 0, session.MemoryLimit, true},
		"more is used than there is":          {1.2, 0, session.MemoryLimit, true},
		"it is short, and sockets are many":   {0.93, 10, session.ConnectionLimit, false},
		"there is none, and sockets are many": {0.97, 10, session.MemoryLimit, true},
		"sockets are too many":                {0.93, 12, session.ConnectionLimit, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			share, o := 0.0, limits()
			o.Memory = func() float64 { return share }
			r := session.NewRegistry(t.Context(), o, prometheus.NewRegistry())
			for range c.sockets {
				r.Reserve(session.Kind{Endpoint: "test", Component: "TestConsumer"})
			}
			share = c.share
			slot, full := r.Reserve(session.Kind{Endpoint: "test", Component: "TestConsumer"})
			if slot != nil {
				full = slot.Exceeded
			}
			if full != c.full || (slot == nil) != c.refused {
				t.Errorf("%q, refused: %t", full, slot == nil)
			}
			if kept := r.Len() == c.sockets+1; kept == c.refused {
				t.Errorf("%d sockets are counted", r.Len())
			}
			share = 0
			if slot, full = r.Reserve(session.Kind{Endpoint: "test", Component: "TestConsumer"}); (slot == nil) != (c.sockets == 12) || slot != nil && slot.Exceeded == session.MemoryLimit {
				t.Errorf("when there is memory again: %v, %q", slot, full)
			}
		})
	}
}

func TestAnonymousSocketsHaveAQuotaAndAMaximumAge(t *testing.T) {
	o := limits()
	o.SoftLimit, o.HardLimit = 20, 22
	inBubble(t, o, func(w *world) {
		w.anonymous = true
		began := time.Now()
		c, h := w.dial()
		_, _ = w.dial()
		for i := range 2 {
			if _, h := w.dial(); h.full != session.AnonymousLimit {
				w.t.Errorf("socket %d: %q", i+3, h.full)
			}
		}
		if slot, full := w.registry.Reserve(session.Kind{Endpoint: "test", Component: "TestConsumer", Anonymous: true}); slot != nil || full != session.AnonymousLimit {
			w.t.Errorf("the fifth one: %q", full)
		}
		w.anonymous = false
		for i := range 18 {
			if _, h := w.dial(); h.full != "" {
				w.t.Errorf("user %d is refused: %q", i, h.full)
			}
		}
		if _, h := w.dial(); h.full != session.ConnectionLimit {
			w.t.Errorf("beyond the soft limit: %q", h.full)
		}
		_, err := readAll(c)
		wantClose(w.t, err, 1012, "max_age ref="+ref)
		<-h.closed
		if d := time.Since(began); d < 10*time.Minute || d > 10*time.Minute+3*time.Second {
			w.t.Errorf("closed after %v", d)
		}
	})
}

func TestSocketsOfAUserAreCounted(t *testing.T) {
	o := limits()
	o.UserSockets = 2
	inBubble(t, o, func(w *world) {
		tooMany := false
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			tooMany = h.s.TooManySockets()
		}
		c, h := w.dial()
		_, _ = w.dial()
		if tooMany {
			w.t.Error("two of two are too many")
		}
		_, third := w.dial()
		if !tooMany {
			w.t.Error("three of two are not too many")
		}
		go func() { _, _ = readAll(c) }()
		h.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		_, fourth := w.dial()
		if !tooMany { // the third one is still open
			w.t.Error("three of two are not too many")
		}
		third.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		fourth.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		if _, _ = w.dial(); tooMany {
			w.t.Error("sockets that are ending count")
		}
	})
}
