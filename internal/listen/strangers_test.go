package listen

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// refusals is the number of refusals that a network may cause at once.
const refusals = int(strangerBurst/refusalPeriod) + 1

// waits returns how long a refusal to a client is held back.
func waits(t *testing.T, l *Limits, remote string) time.Duration {
	t.Helper()
	began := time.Now()
	if err := l.SlowDownRefusal(t.Context(), remote); err != nil {
		t.Errorf("%s: %v", remote, err)
	}
	return time.Since(began)
}

func TestStrangersOfANetworkShareARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := small(0.25, 16, 16, 16)
		for i := range refusals {
			if l.Slow("[2001:db8::1]:1") {
				t.Fatalf("slow after %d", i)
			}
			if w := waits(t, l, fmt.Sprintf("[2001:db8::%x]:1", i+1)); w != 0 {
				t.Fatalf("number %d waits %v", i, w)
			}
		}
		if !l.Slow("2001:db8::ffff") || l.Slow("[2001:db8:0:1::1]:1") || l.Slow("192.0.2.1:1") {
			t.Error("not exactly the network that causes too many refusals is slow")
		}
		if w := waits(t, l, "2001:db8::2"); w != refusalPeriod {
			t.Errorf("the next one waits %v, want %v", w, refusalPeriod)
		}

		done := make(chan time.Duration, 1000)
		for range cap(done) {
			go func() { done <- waits(t, l, "192.0.2.1:1") }()
		}
		longest := time.Duration(0)
		for range cap(done) {
			longest = max(longest, <-done)
		}
		if longest != maxPause {
			t.Errorf("one of %d waits %v, want %v at most", cap(done), longest, maxPause)
		}
		time.Sleep(refusalPeriod) //nolint:forbidigo // the bubble's time
		if w := waits(t, l, "192.0.2.1:1"); w > refusalPeriod {
			t.Errorf("after the crowd one waits %v", w)
		}

		for i := range int(strangerBurst/anonymousPeriod) + 2 {
			began := time.Now()
			_ = l.SlowDownAnonymous(t.Context(), "192.0.2.2:1")
			if waited := time.Since(began) > 0; waited != (i == int(strangerBurst/anonymousPeriod)+1) {
				t.Fatalf("anonymous handshake %d waits %v", i, time.Since(began))
			}
		}

		l = small(1, 16, 16, 16)
		for range 2 * refusals {
			if w := waits(t, l, "192.0.2.1:1"); w != 0 || l.Slow("192.0.2.1:1") {
				t.Fatalf("waits %v although there is no limit", w)
			}
		}
	})
}

func TestFewNetworksOfStrangersAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := small(0.25, 16, 16, 16)
		for i := range 2 * maxNetworks {
			waits(t, l, fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&255))
		}
		if n := len(l.strangers.full); n != maxNetworks {
			t.Errorf("%d networks are remembered, want %d", n, maxNetworks)
		}
		time.Sleep(sweepEvery) //nolint:forbidigo // the bubble's time
		waits(t, l, "192.0.2.1:1")
		if n := len(l.strangers.full); n != 1 {
			t.Errorf("%d networks are remembered although their buckets are full", n)
		}
	})
}

func TestOnlyRefusalsAreHeldBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := small(0.25, 16, 16, 16)
		h := l.slowDownRefusals([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/good" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		for _, c := range []struct {
			method, path, from, forwarded string
			slow                          bool
		}{
			{"GET", "/bad", "203.0.113.1:2", "", true},
			{"GET", "/good", "203.0.113.1:3", "", false},
			{"OPTIONS", "/good", "203.0.113.1:4", "", true},
			{"GET", "/bad", "203.0.113.1:5", "203.0.113.2", true},
			{"GET", "/bad", "10.0.0.1:2", "203.0.113.1", true},
			{"GET", "/bad", "203.0.113.2:2", "203.0.113.1", false},
			{"GET", "/bad", "10.0.0.1:2", "203.0.113.3", false},
		} {
			for !l.Slow("203.0.113.1:1") {
				waits(t, l, "203.0.113.1:1")
			}
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
			r.RemoteAddr = c.from
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			began := time.Now()
			h.ServeHTTP(httptest.NewRecorder(), r)
			if waited := time.Since(began) > 0; waited != c.slow {
				t.Errorf("%+v: held back for %v", c, time.Since(began))
			}
		}
	})
}
